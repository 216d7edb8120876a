import { ChangeDetectionStrategy, Component, input, model, signal } from '@angular/core';

import { wholeDays } from '@core/audit/retention';
import { Field, FieldInput } from '@core/form/field';

/** A number of days, or for ever. */
@Component({
  selector: 'nb-days-field',
  imports: [Field, FieldInput],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <nb-field [label]="label()" [error]="error()">
      <input
        nbInput
        type="number"
        min="1"
        step="1"
        inputmode="numeric"
        [disabled]="disabled() || days() === null"
        [value]="days() ?? ''"
        (input)="enter(text.value)"
        #text
      />
    </nb-field>
    <label class="check">
      <input type="checkbox" [disabled]="disabled()" [checked]="days() === null" (change)="forEver(box.checked)" #box />
      <span><ng-container i18n>for ever</ng-container><span class="visually-hidden">: {{ label() }}</span></span>
    </label>
  `,
  styles: `
    :host {
      display: grid;
      grid-template-columns: minmax(6rem, 9rem) auto;
      gap: var(--s3);
      align-items: start;
      justify-content: start;
    }
    .check {
      padding-top: 1.95rem;
      white-space: nowrap;
    }
  `,
})
export class DaysField {
  readonly label = input.required<string>();
  readonly error = input('');
  readonly disabled = input(false);
  /** Null for ever; NaN while the text is no number. */
  readonly days = model.required<number | null>();
  // What comes back when "for ever" is taken away again.
  private readonly last = signal(365);

  protected enter(text: string): void {
    this.days.set(wholeDays(text));
  }

  protected forEver(on: boolean): void {
    const days = this.days();
    if (days !== null && Number.isInteger(days)) this.last.set(days);
    this.days.set(on ? null : this.last());
  }
}
