import { ChangeDetectionStrategy, Component, input } from '@angular/core';

import { Icon } from '@core/icon/icon';

/** Something that was checked. */
export interface Check {
  name: string;
  ok: boolean;
  message?: string;
}

/** The outcome of a test: one line for the whole, one for each check. */
@Component({
  selector: 'nb-checklist',
  imports: [Icon],
  changeDetection: ChangeDetectionStrategy.OnPush,
  host: { 'aria-live': 'polite' },
  template: `
    <div class="notice" [class]="ok() ? 'tone-good' : 'tone-bad'">
      <nb-icon [name]="ok() ? 'success' : 'error'" />
      <p>{{ message() }}</p>
    </div>
    @if (checks().length) {
      <ul>
        @for (check of checks(); track check.name) {
          <li [class]="check.ok ? 'tone-good' : 'tone-bad'">
            <nb-icon [name]="check.ok ? 'check' : 'close'" [size]="15" />
            <span class="visually-hidden">
              @if (check.ok) {
                <ng-container i18n>fulfilled:</ng-container>
              } @else {
                <ng-container i18n>missing:</ng-container>
              }
            </span>
            <span>{{ check.name }}</span>
            <span class="soft">{{ check.message }}</span>
          </li>
        }
      </ul>
    }
  `,
  styles: `
    :host {
      display: grid;
      gap: var(--s3);
    }
    ul {
      display: grid;
      gap: var(--s1);
      padding-left: var(--s4);
    }
    li {
      display: flex;
      flex-wrap: wrap;
      align-items: center;
      gap: 0 var(--s2);
    }
    li nb-icon {
      color: var(--tone);
    }
  `,
})
export class Checklist {
  readonly ok = input.required<boolean>();
  readonly message = input.required<string>();
  readonly checks = input<readonly Check[]>([]);
}
