import { ChangeDetectionStrategy, Component, input } from '@angular/core';
import { FormGroup, ReactiveFormsModule } from '@angular/forms';

import { Field, FieldInput } from '@core/form/field';
import { PasswordStrength } from '@core/form/password-strength';
import { Submit } from '@core/form/submit';

/** The two fields of a new password, with its strength. */
@Component({
  selector: 'nb-new-password-fields',
  imports: [Field, FieldInput, PasswordStrength, ReactiveFormsModule],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <div class="stack" [formGroup]="form()">
      <nb-field [label]="label()" [error]="sending().error('password') || sending().error(serverName())">
        <input nbInput type="password" autocomplete="new-password" maxlength="200" formControlName="password" />
      </nb-field>
      <nb-password-strength [password]="typed()" />
      <nb-field i18n-label label="The same again" [error]="sending().error('again')">
        <input nbInput type="password" autocomplete="new-password" maxlength="200" formControlName="again" />
      </nb-field>
    </div>
  `,
})
export class NewPasswordFields {
  /** A form with newPasswordControls. */
  readonly form = input.required<FormGroup>();
  readonly sending = input.required<Submit>();
  readonly label = input($localize`New password`);
  /** What the server calls the field when it refuses it. */
  readonly serverName = input('password');

  protected typed(): string {
    this.sending().touched();
    return String(this.form().get('password')?.value ?? '');
  }
}
