import { ChangeDetectionStrategy, Component, computed, input } from '@angular/core';
import { ReactiveFormsModule } from '@angular/forms';

import { Problem } from '../api/problem';
import { BucketFields } from '../form/bucket-fields';
import { Field, FieldInput } from '../form/field';
import { TargetField, TargetForm, TargetKind } from './target';

/** The fields of a place for backups, by its kind. */
@Component({
  selector: 'nb-target-fields',
  imports: [BucketFields, Field, FieldInput, ReactiveFormsModule],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './target-fields.html',
  styleUrl: './target-fields.scss',
})
export class TargetFields {
  readonly form = input.required<TargetForm>();
  readonly kind = input.required<TargetKind>();
  /** What is wrong before it is sent, by field. */
  readonly faults = input<Partial<Record<TargetField, string>>>({});
  /** What the server said. */
  readonly problem = input<Problem | null>(null);
  /** Whether a secret is stored that an empty field leaves. */
  readonly keeps = input(false);

  /** Whether backups will be written there; otherwise they are only read. */
  readonly writes = input(true);

  protected readonly pathHint = computed(() => (this.writes() ? $localize`Best a mount of another machine: a backup on the same disk is lost with it.` : ''));
  protected readonly errors = computed(() => {
    const faults = this.faults();
    const problem = this.problem();
    return (name: TargetField): string => faults[name] ?? problem?.field(name) ?? '';
  });
  protected readonly secretHint = computed(() => (this.keeps() ? $localize`Left empty, the stored one stays.` : ''));
}
