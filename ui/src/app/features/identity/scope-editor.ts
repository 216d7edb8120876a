import { ChangeDetectionStrategy, Component, computed, model, signal } from '@angular/core';

import { remote } from '@core/api/remote';
import { Choice, Option } from '@core/form/choice';
import { Field, FieldInput } from '@core/form/field';
import { Icon } from '@core/icon/icon';

import { Reach, scopeProblem } from './scope';

let created = 0;

/** Chooses how much a token may do: all that its owner may, only reading, or chosen permissions. */
@Component({
  selector: 'nb-scope-editor',
  imports: [Choice, Field, FieldInput, Icon],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <nb-choice i18n-legend legend="What the token may do" [options]="options" [(value)]="reach" />
    @if (reach() === 'chosen') {
      <div class="row">
        <nb-field i18n-label label="Permission" [error]="error()">
          <input
            nbInput
            class="mono"
            autocomplete="off"
            spellcheck="false"
            placeholder="deployment:stack:read"
            [attr.list]="listId"
            [value]="entered()"
            (input)="entered.set(text.value)"
            (keydown.enter)="$event.preventDefault(); add()"
            #text
          />
        </nb-field>
        <button type="button" class="button" (click)="add()" i18n>Add</button>
      </div>
      <datalist [id]="listId">
        @for (one of catalogue.value()?.items; track one.permission) {
          <option [value]="one.permission">{{ one.summary }}</option>
        }
      </datalist>
      <ul aria-live="polite">
        @for (scope of chosen(); track scope) {
          <li>
            <code>{{ scope }}</code>
            <button type="button" class="button small quiet icon-only" [attr.aria-label]="removeLabel(scope)" (click)="remove(scope)">
              <nb-icon name="close" [size]="14" />
            </button>
          </li>
        } @empty {
          <li class="soft" i18n>Nothing yet: add at least one.</li>
        }
      </ul>
    }
  `,
  styles: `
    :host {
      display: grid;
      gap: var(--s3);
      grid-template-columns: minmax(0, 1fr);
    }
    .row {
      display: grid;
      grid-template-columns: minmax(0, 1fr) auto;
      align-items: start;
    }
    .row .button {
      margin-top: 1.45rem;
    }
    ul {
      display: flex;
      flex-wrap: wrap;
      gap: var(--s1) var(--s2);
    }
    li {
      display: inline-flex;
      align-items: center;
      overflow-wrap: anywhere;
    }
    li:has(code) {
      padding-left: var(--s2);
      border-radius: var(--radius-s);
      background: var(--surface-sunken);
    }
  `,
})
export class ScopeEditor {
  readonly reach = model.required<Reach>();
  readonly chosen = model.required<readonly string[]>();

  protected readonly listId = `nb-scopes-${++created}`;
  /** Only helps to type; without it every pattern can still be entered. */
  protected readonly catalogue = remote<{ items: { permission: string; summary: string }[] }>(() =>
    this.reach() === 'chosen' ? '/permissions/catalogue' : null,
  );
  protected readonly entered = signal('');
  private readonly tried = signal(false);
  protected readonly error = computed(() => (this.tried() ? scopeProblem(this.entered(), this.chosen()) : null));
  protected readonly options: readonly Option<Reach>[] = [
    { value: 'all', label: $localize`Everything the account may do`, text: $localize`Also what is allowed to it later.` },
    { value: 'read', label: $localize`Only read`, text: $localize`Sees what the account sees, changes nothing.` },
    { value: 'chosen', label: $localize`Chosen permissions`, text: $localize`Never more than the account itself may do.` },
  ];

  protected removeLabel(scope: string): string {
    return $localize`Remove ${scope}`;
  }

  /** Takes what was typed; answers false when it does not fit. Nothing typed is fine. */
  add(): boolean {
    const scope = this.entered().trim();
    const fits = scopeProblem(scope, this.chosen()) === null;
    this.tried.set(!fits);
    if (!fits) return false;
    this.chosen.update((old) => [...old, scope]);
    this.entered.set('');
    return true;
  }

  /** Whether the choice can be sent; takes along what was typed but not added. */
  ready(): boolean {
    if (this.reach() !== 'chosen') return true;
    if (this.entered().trim() || this.chosen().length === 0) return this.add();
    return true;
  }

  protected remove(scope: string): void {
    this.chosen.update((old) => old.filter((one) => one !== scope));
  }
}
