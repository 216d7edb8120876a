import { ChangeDetectionStrategy, Component, effect, input, output } from '@angular/core';
import { FormControl, FormGroup, ReactiveFormsModule, Validators } from '@angular/forms';

import { FocusFirst } from '@core/form/focus-first';
import { Field, FieldInput } from '@core/form/field';
import { submit } from '@core/form/submit';
import { Icon } from '@core/icon/icon';

/** The first step: which address. A passkey needs none. */
@Component({
  selector: 'nb-sign-in-email',
  imports: [Field, FieldInput, Icon, ReactiveFormsModule],
  hostDirectives: [FocusFirst],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <form class="stack" [formGroup]="form" (ngSubmit)="send()" novalidate>
      <nb-field i18n-label label="E-mail address" [error]="sending.error('email')">
        <input nbInput type="email" autocomplete="username" formControlName="email" />
      </nb-field>
      <button class="button primary" [disabled]="busy()" i18n>Continue</button>
      @if (passkeys()) {
        <button type="button" class="button" [disabled]="busy()" (click)="passkey.emit()">
          <nb-icon name="key" [size]="16" /><ng-container i18n>Sign in with a passkey</ng-container>
        </button>
      }
    </form>
  `,
  styleUrl: './entry-step.scss',
})
export class SignInEmail {
  readonly email = input('');
  readonly busy = input(false);
  readonly passkeys = input(false);
  readonly done = output<string>();
  readonly passkey = output();
  protected readonly form = new FormGroup({
    email: new FormControl('', { nonNullable: true, validators: [Validators.required, Validators.email] }),
  });
  protected readonly sending = submit(this.form);

  constructor() {
    effect(() => this.form.setValue({ email: this.email() }));
  }

  protected send(): void {
    if (this.sending.ready()) this.done.emit(this.form.getRawValue().email.trim());
  }
}
