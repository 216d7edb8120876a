import { ChangeDetectionStrategy, Component, inject, model } from '@angular/core';

import { Field, FieldInput } from '@core/form/field';
import { fromInput, toInput } from '@core/time/zone';

import { Vocabulary } from './vocabulary';

/** Where and when something holds. */
export interface Limits {
  compartment_id?: string | null;
  not_before?: string | null;
  expires_at?: string | null;
}

/** Takes the compartment and the time that something is limited to. */
@Component({
  selector: 'nb-limits-field',
  imports: [Field, FieldInput],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    @if (vocabulary.places().length) {
      <nb-field i18n-label label="Holds in">
        <select nbInput [value]="limits().compartment_id ?? ''" (change)="set('compartment_id', place.value)" #place>
          <option value="" i18n>the whole tenant</option>
          @for (one of vocabulary.places(); track one.id) {
            <option [value]="one.id" [selected]="one.id === limits().compartment_id">{{ one.name }}</option>
          }
        </select>
      </nb-field>
    }
    <nb-field i18n-label label="From" [optional]="true">
      <input nbInput type="datetime-local" [value]="local(limits().not_before)" (change)="set('not_before', utc(from.value))" #from />
    </nb-field>
    <nb-field i18n-label label="Until" [optional]="true" [error]="error()">
      <input nbInput type="datetime-local" [value]="local(limits().expires_at)" (change)="set('expires_at', utc(to.value))" #to />
    </nb-field>
  `,
  styles: `
    :host {
      display: grid;
      grid-template-columns: repeat(auto-fit, minmax(min(12rem, 100%), 1fr));
      gap: var(--s3);
    }
  `,
})
export class LimitsField {
  protected readonly vocabulary = inject(Vocabulary);
  readonly limits = model.required<Limits>();
  protected readonly local = toInput;
  protected readonly utc = fromInput;

  protected set(name: keyof Limits, value: string | null): void {
    this.limits.update((old) => ({ ...old, [name]: value || null }));
  }

  protected error(): string {
    const { not_before: from, expires_at: to } = this.limits();
    return from && to && Date.parse(from) >= Date.parse(to) ? $localize`It would end before it begins.` : '';
  }
}
