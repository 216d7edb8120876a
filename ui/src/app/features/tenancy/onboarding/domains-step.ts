import { ChangeDetectionStrategy, Component, ElementRef, inject, signal, viewChild } from '@angular/core';

import { Field, FieldInput } from '@core/form/field';
import { Icon } from '@core/icon/icon';

import { plainDomain } from '../domain';
import { Onboarding } from './onboarding';

/** Step 2: the e-mail domains; none is fine. */
@Component({
  selector: 'nb-domains-step',
  imports: [Field, FieldInput, Icon],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <div class="stack">
      <form (submit)="$event.preventDefault(); add()" novalidate>
        <nb-field i18n-label label="Domain" [optional]="true" [error]="error()">
          <input
            nbInput
            autocomplete="off"
            autocapitalize="off"
            spellcheck="false"
            placeholder="example.org"
            [value]="entered()"
            (input)="entered.set(domain.value)"
            #domain
          />
        </nb-field>
        <button class="button"><nb-icon name="plus" [size]="16" /><ng-container i18n>Add</ng-container></button>
      </form>
      <ul aria-live="polite">
        @for (one of onboarding.domains(); track one) {
          <li>
            <nb-icon name="globe" [size]="16" />
            <span>{{ one }}</span>
            <button type="button" class="button small quiet" (click)="remove(one)" i18n>
              Remove<span class="visually-hidden"> {{ one }}</span>
            </button>
          </li>
        } @empty {
          <li class="soft" i18n>No domain: people choose the tenant after they signed in. It can be added later.</li>
        }
      </ul>
      <div class="row end">
        <button type="button" class="button" (click)="onboarding.step.set('basics')" i18n>Back</button>
        <button type="button" class="button primary" (click)="next()" i18n>Continue</button>
      </div>
    </div>
  `,
  styles: `
    form {
      display: grid;
      grid-template-columns: minmax(0, 1fr) auto;
      gap: var(--s2);
    }
    form .button {
      align-self: start;
      margin-top: 1.45rem;
    }
    ul {
      border: 1px solid var(--line);
      border-radius: var(--radius-s);
    }
    li {
      display: flex;
      align-items: center;
      gap: var(--s3);
      min-height: 2.5rem;
      padding: var(--s1) var(--s3);
    }
    li + li {
      border-top: 1px solid var(--line);
    }
    li span {
      flex: 1;
      overflow-wrap: anywhere;
    }
    li nb-icon {
      color: var(--ink-soft);
    }
    li .button {
      margin-left: auto;
      flex: none;
    }
  `,
})
export class DomainsStep {
  private readonly input = viewChild<ElementRef<HTMLInputElement>>('domain');
  protected readonly onboarding = inject(Onboarding);
  protected readonly entered = signal('');
  protected readonly error = signal<string | null>(null);

  protected add(): boolean {
    this.error.set(this.onboarding.addDomain(plainDomain(this.entered())));
    if (this.error() === null) this.entered.set('');
    this.input()?.nativeElement.focus();
    return this.error() === null;
  }

  protected remove(domain: string): void {
    this.onboarding.domains.update((old) => old.filter((one) => one !== domain));
  }

  /** A domain that was typed but not added is meant too. */
  protected next(): void {
    if (this.entered().trim() && !this.add()) return;
    this.onboarding.next('domains');
  }
}
