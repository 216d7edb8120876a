import { DialogRef } from '@angular/cdk/dialog';
import { ChangeDetectionStrategy, Component, inject } from '@angular/core';
import { FormControl, FormGroup, ReactiveFormsModule, Validators } from '@angular/forms';

import { Api } from '@core/api/api';
import { DialogFrame } from '@core/dialog/dialog-frame';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Field, FieldInput } from '@core/form/field';
import { submit } from '@core/form/submit';
import { makePasskey } from '@core/webauthn/passkey';

import { agentName } from '../user-agent';

/** Adds a passkey of this browser or of a key; closes with recovery codes, if any. */
@Component({
  selector: 'nb-add-passkey',
  imports: [DialogFrame, Field, FieldInput, ProblemNotice, ReactiveFormsModule],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <form [formGroup]="form" (ngSubmit)="send()" novalidate>
      <nb-dialog-frame i18n-heading heading="Add a passkey">
        <p class="soft" i18n>
          The browser asks where to keep it: on this device, in your password manager, on your phone or on a security key. It proves you alone, and as a second factor.
        </p>
        <nb-problem [problem]="sending.problem()" />
        <nb-field i18n-label label="Name" i18n-hint hint="So that you know it again." [error]="sending.error('name')">
          <input nbInput autocomplete="off" maxlength="100" formControlName="name" cdkFocusInitial />
        </nb-field>
        <ng-container actions>
          <button type="button" class="button" (click)="ref.close()" i18n>Cancel</button>
          <button class="button primary" [disabled]="sending.busy()" i18n>Add the passkey</button>
        </ng-container>
      </nb-dialog-frame>
    </form>
  `,
})
export class AddPasskey {
  private readonly api = inject(Api);
  protected readonly ref = inject<DialogRef<string[]>>(DialogRef);
  protected readonly form = new FormGroup({
    name: new FormControl(agentName(navigator.userAgent), { nonNullable: true, validators: Validators.required }),
  });
  protected readonly sending = submit(this.form);

  protected async send(): Promise<void> {
    if (!this.sending.ready()) return;
    const { name } = this.form.getRawValue();
    await this.sending.run(async () => {
      const { options, state } = await this.api.post<{ options: unknown; state: string }>('/mfa/passkeys/begin');
      const credential = await makePasskey(options);
      const made = await this.api.post<{ recovery_codes?: string[] }>('/mfa/passkeys/finish', { state, name: name.trim(), credential });
      this.ref.close(made.recovery_codes ?? []);
    });
  }
}
