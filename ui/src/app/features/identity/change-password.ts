import { DialogRef } from '@angular/cdk/dialog';
import { ChangeDetectionStrategy, Component, inject } from '@angular/core';
import { FormControl, FormGroup, ReactiveFormsModule, Validators } from '@angular/forms';

import { Api } from '@core/api/api';
import { DialogFrame } from '@core/dialog/dialog-frame';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Field, FieldInput } from '@core/form/field';
import { submit } from '@core/form/submit';

import { newPasswordControls } from './new-password';
import { NewPasswordFields } from './new-password-fields';

/** Changes the person's own password; closes with true. */
@Component({
  selector: 'nb-change-password',
  imports: [DialogFrame, Field, FieldInput, NewPasswordFields, ProblemNotice, ReactiveFormsModule],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <form [formGroup]="form" (ngSubmit)="send()" novalidate>
      <nb-dialog-frame i18n-heading heading="Change your password">
        <nb-problem [problem]="sending.problem()" />
        <nb-field i18n-label label="Present password" [error]="sending.error('current')">
          <input nbInput type="password" autocomplete="current-password" maxlength="200" formControlName="current" cdkFocusInitial />
        </nb-field>
        <nb-new-password-fields [form]="form" [sending]="sending" serverName="new" />
        <p class="small-text soft" i18n>Your other sessions end. API tokens stay as they are.</p>
        <ng-container actions>
          <button type="button" class="button" (click)="ref.close()" i18n>Cancel</button>
          <button class="button primary" [disabled]="sending.busy()" i18n>Change it</button>
        </ng-container>
      </nb-dialog-frame>
    </form>
  `,
})
export class ChangePassword {
  private readonly api = inject(Api);
  protected readonly ref = inject<DialogRef<boolean>>(DialogRef);
  protected readonly form = new FormGroup({
    current: new FormControl('', { nonNullable: true, validators: Validators.required }),
    ...newPasswordControls(),
  });
  protected readonly sending = submit(this.form);

  protected async send(): Promise<void> {
    if (!this.sending.ready()) return;
    const { current, password } = this.form.getRawValue();
    const body = { current, new: password };
    const done = await this.sending.run(() => this.api.put('/session/password', body, { keepSession: true }));
    if (done) this.ref.close(true);
  }
}
