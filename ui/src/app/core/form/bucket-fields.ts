import { ChangeDetectionStrategy, Component, input } from '@angular/core';
import { FormGroup, ReactiveFormsModule } from '@angular/forms';

import { Field, FieldInput } from './field';

/** The name of a field of a bucket. */
export type BucketField = 'endpoint' | 'bucket' | 'region' | 'prefix' | 'access_key' | 'secret' | 'ca_pem';

/** The fields of a bucket that speaks S3. */
@Component({
  selector: 'nb-bucket-fields',
  imports: [Field, FieldInput, ReactiveFormsModule],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './bucket-fields.html',
  styles: `
    :host {
      display: grid;
      grid-template-columns: minmax(0, 1fr);
      gap: var(--s4);
    }
    .fields {
      display: grid;
      grid-template-columns: repeat(auto-fit, minmax(min(11rem, 100%), 1fr));
      gap: var(--s4);
      align-items: start;
    }
  `,
})
export class BucketFields {
  /** Has a control of text for each field, and may have others. */
  readonly form = input.required<FormGroup>();
  /** What is wrong with a field; empty when nothing is. */
  readonly error = input.required<(name: BucketField) => string>();
  readonly secretHint = input('');
}
