import { ChangeDetectionStrategy, Component, computed, input, output } from '@angular/core';
import { FormControl, FormGroup, ReactiveFormsModule, Validators } from '@angular/forms';

import { FocusFirst } from '@core/form/focus-first';
import { Field, FieldInput } from '@core/form/field';
import { submit } from '@core/form/submit';
import { Icon } from '@core/icon/icon';

import { ProviderChoice, Step } from './sign-in-steps';

/** The second step: by which way this address signs in. */
@Component({
  selector: 'nb-sign-in-choose',
  imports: [Field, FieldInput, Icon, ReactiveFormsModule],
  hostDirectives: [FocusFirst],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './sign-in-choose.html',
  styleUrl: './entry-step.scss',
})
export class SignInChoose {
  readonly step = input.required<Extract<Step, { name: 'choose' }>>();
  readonly busy = input(false);
  readonly password = output<string>();
  readonly passkey = output();
  readonly provider = output<ProviderChoice>();
  readonly back = output();
  protected readonly elsewhere = computed(() => this.step().providers.length > 0 || this.step().passkey);
  protected readonly form = new FormGroup({
    password: new FormControl('', { nonNullable: true, validators: Validators.required }),
  });
  protected readonly sending = submit(this.form);

  protected send(): void {
    if (this.sending.ready()) this.password.emit(this.form.getRawValue().password);
  }
}
