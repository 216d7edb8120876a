import { ChangeDetectionStrategy, Component, computed, input, linkedSignal, output } from '@angular/core';
import { FormControl, FormGroup, ReactiveFormsModule, Validators } from '@angular/forms';

import { action } from '@core/feedback/action';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { FocusFirst } from '@core/form/focus-first';
import { Field, FieldInput } from '@core/form/field';
import { submit } from '@core/form/submit';
import { Icon } from '@core/icon/icon';
import { passkeysWork, usePasskey } from '@core/webauthn/passkey';

import { SecondMethod, Step, secondMethods } from './sign-in-steps';

/** Asks for the second factor of a sign-in: a passkey, a code of an app, or a recovery code. */
@Component({
  selector: 'nb-second-factor-step',
  imports: [Field, FieldInput, Icon, ProblemNotice, ReactiveFormsModule],
  hostDirectives: [FocusFirst],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './second-factor-step.html',
  styleUrl: './entry-step.scss',
})
export class SecondFactorStep {
  readonly step = input.required<Extract<Step, { name: 'second' }>>();
  readonly busy = input(false);
  /** What proves it, as the server takes it. */
  readonly proof = output<object>();
  readonly back = output();
  protected readonly method = linkedSignal<SecondMethod>(() => this.step().method);
  protected readonly others = computed(() =>
    secondMethods(this.step().second, passkeysWork()).filter((one) => one !== this.method()),
  );
  protected readonly form = new FormGroup({
    code: new FormControl('', { nonNullable: true, validators: Validators.required }),
  });
  protected readonly sending = submit(this.form);
  protected readonly using = action();

  protected word(method: SecondMethod): string {
    switch (method) {
      case 'passkey':
        return $localize`Use a passkey`;
      case 'totp':
        return $localize`Use a code of the authenticator app`;
      case 'recovery_code':
        return $localize`Use a recovery code`;
    }
  }

  protected use(method: SecondMethod): void {
    this.form.reset();
    this.method.set(method);
  }

  protected send(): void {
    if (!this.sending.ready()) return;
    const code = this.form.getRawValue().code.trim();
    this.proof.emit(this.method() === 'totp' ? { totp: code.replace(/\s/g, '') } : { recovery_code: code });
  }

  protected async passkey(): Promise<void> {
    await this.using.run(async () => this.proof.emit({ credential: await usePasskey(this.step().second.options) }));
  }
}
