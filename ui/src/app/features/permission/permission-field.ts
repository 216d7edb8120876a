import { ChangeDetectionStrategy, Component, computed, inject, input, model } from '@angular/core';

import { Field, FieldInput } from '@core/form/field';

import { Vocabulary } from './vocabulary';

let created = 0;

/** Takes a permission, with those that the appliance knows offered while typing. */
@Component({
  selector: 'nb-permission-field',
  imports: [Field, FieldInput],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <nb-field i18n-label label="Permission" [hint]="hint()" [error]="error()">
      <input
        nbInput
        class="mono"
        autocomplete="off"
        spellcheck="false"
        placeholder="deployment:stack:approve"
        [attr.list]="id"
        [value]="permission()"
        (input)="permission.set(text.value.trim())"
        #text
      />
    </nb-field>
    <datalist [id]="id">
      @for (one of offered(); track one.permission) {
        <option [value]="one.permission">{{ one.summary }}</option>
      }
    </datalist>
  `,
})
export class PermissionField {
  private readonly vocabulary = inject(Vocabulary);
  protected readonly id = `nb-permissions-${++created}`;

  readonly permission = model.required<string>();
  readonly error = input('');
  protected readonly offered = this.vocabulary.known;
  /** What the chosen permission is for. */
  protected readonly hint = computed(
    () => this.vocabulary.known().find((one) => one.permission === this.permission())?.summary ?? '',
  );
}
