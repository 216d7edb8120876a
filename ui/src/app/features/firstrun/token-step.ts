import { ChangeDetectionStrategy, Component, inject } from '@angular/core';
import { FormControl, FormGroup, ReactiveFormsModule, Validators } from '@angular/forms';

import { ProblemNotice } from '@core/feedback/problem-notice';
import { Field, FieldInput } from '@core/form/field';
import { submit } from '@core/form/submit';
import { Time } from '@core/time/time';

import { Setup } from './setup';
import { StepFrame } from './step-frame';

/** Asks for the token that the console shows, so that only the owner of the machine sets it up. */
@Component({
  selector: 'nb-token-step',
  imports: [Field, FieldInput, ProblemNotice, ReactiveFormsModule, StepFrame, Time],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <nb-step-frame
      i18n-heading
      heading="Set up Nimbus"
      i18n-lead
      lead="The console of this machine shows a setup token. It proves that the machine is yours."
    >
      <form class="stack" [formGroup]="form" (ngSubmit)="send()" novalidate>
        <nb-problem [problem]="sending.problem()" />
        <nb-field
          i18n-label
          label="Setup token"
          i18n-hint
          hint="Not on the screen any more? Restart Nimbus on the machine; it prints a new one."
          [error]="sending.error('token')"
        >
          <input nbInput class="mono" autocomplete="off" spellcheck="false" formControlName="token" autofocus />
        </nb-field>
        <div class="row">
          <button class="button primary" [disabled]="sending.busy()" i18n>Begin</button>
          @if (setup.state.value()?.token_expires_at; as at) {
            <span class="small-text soft">
              <ng-container i18n>The token is good until</ng-container>&ngsp;<nb-time [at]="at" />
            </span>
          }
        </div>
      </form>
    </nb-step-frame>
  `,
})
export class TokenStep {
  protected readonly setup = inject(Setup);
  protected readonly form = new FormGroup({
    token: new FormControl('', { nonNullable: true, validators: Validators.required }),
  });
  protected readonly sending = submit(this.form);

  protected async send(): Promise<void> {
    if (!this.sending.ready()) return;
    await this.sending.run(() => this.setup.signIn(this.form.getRawValue().token.trim()));
  }
}
