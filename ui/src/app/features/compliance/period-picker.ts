import { ChangeDetectionStrategy, Component, computed, input, linkedSignal, output } from '@angular/core';

import { Field, FieldInput } from '@core/form/field';

import { Days, lastDays, lengthOf } from './report';

const presets = [7, 30, 90, 365] as const;

/** Chooses the days that a dashboard and its reports are about. */
@Component({
  selector: 'nb-period-picker',
  imports: [Field, FieldInput],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <div class="presets" role="group" i18n-aria-label aria-label="Period">
      @for (count of presets; track count) {
        <button type="button" class="button small" [class.chosen]="chosen() === count" [attr.aria-pressed]="chosen() === count" (click)="last(count)" i18n>
          {{ count }} days
        </button>
      }
    </div>
    <form (submit)="$event.preventDefault(); apply()" novalidate>
      <nb-field i18n-label label="From">
        <input nbInput type="date" [value]="draft().from" (change)="set('from', from.value)" #from />
      </nb-field>
      <nb-field i18n-label label="To" [error]="wrong()">
        <input nbInput type="date" [value]="draft().to" (change)="set('to', to.value)" #to />
      </nb-field>
    </form>
  `,
  styles: `
    :host {
      display: flex;
      flex-wrap: wrap;
      align-items: end;
      gap: var(--s3) var(--s4);
    }
    form {
      display: flex;
      flex-wrap: wrap;
      gap: var(--s3);
    }
    .presets {
      display: flex;
      flex-wrap: wrap;
      gap: var(--s1);
      padding-bottom: 0.25rem;
    }
    .chosen {
      border-color: var(--accent);
      background: var(--accent-wash);
      color: var(--accent-strong);
    }
  `,
})
export class PeriodPicker {
  /** Empty days are the last thirty. */
  readonly days = input.required<Days>();
  readonly picked = output<Days>();

  protected readonly presets = presets;
  private readonly shown = computed(() => (this.days().from && this.days().to ? this.days() : lastDays(30, new Date())));
  protected readonly draft = linkedSignal(() => this.shown());
  protected readonly chosen = computed(() => {
    const shown = this.shown();
    return shown.to === lastDays(1, new Date()).to ? lengthOf(shown) : null;
  });
  protected readonly wrong = computed(() => (lengthOf(this.draft()) === null ? $localize`It would end before it begins.` : ''));

  protected last(count: number): void {
    this.picked.emit(count === 30 ? { from: '', to: '' } : lastDays(count, new Date()));
  }

  protected set(name: keyof Days, value: string): void {
    this.draft.update((old) => ({ ...old, [name]: value }));
    this.apply();
  }

  protected apply(): void {
    if (!this.wrong()) this.picked.emit(this.draft());
  }
}
