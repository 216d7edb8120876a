import { DialogRef } from '@angular/cdk/dialog';
import { ChangeDetectionStrategy, Component, inject } from '@angular/core';
import { FormControl, FormGroup, ReactiveFormsModule, Validators } from '@angular/forms';

import { Api } from '../api/api';
import { ProblemNotice } from '../feedback/problem-notice';
import { Field, FieldInput } from '../form/field';
import { submit } from '../form/submit';
import { Session } from '../session/session';
import { DialogFrame } from './dialog-frame';

/** Asks for the password again before something sensitive; opened by Dialogs.stepUp. */
@Component({
  selector: 'nb-step-up',
  imports: [DialogFrame, Field, FieldInput, ProblemNotice, ReactiveFormsModule],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <form [formGroup]="form" (ngSubmit)="send()">
      <nb-dialog-frame i18n-heading heading="Confirm that it is you">
        <p class="soft" i18n>
          This needs your password again, {{ session.user()?.name }}. It is then good for a few minutes.
        </p>
        <nb-problem [problem]="sending.problem()" />
        <nb-field i18n-label label="Password" [error]="sending.error('password')">
          <input nbInput type="password" autocomplete="current-password" formControlName="password" cdkFocusInitial />
        </nb-field>
        <ng-container actions>
          <button type="button" class="button" (click)="ref.close(false)" i18n>Cancel</button>
          <button class="button primary" [disabled]="sending.busy()" i18n>Confirm</button>
        </ng-container>
      </nb-dialog-frame>
    </form>
  `,
})
export class StepUpDialog {
  private readonly api = inject(Api);
  protected readonly ref = inject<DialogRef<boolean>>(DialogRef);
  protected readonly session = inject(Session);
  protected readonly form = new FormGroup({
    password: new FormControl('', { nonNullable: true, validators: Validators.required }),
  });
  protected readonly sending = submit(this.form);

  protected async send(): Promise<void> {
    if (!this.sending.ready()) return;
    const body = this.form.getRawValue();
    const done = await this.sending.run(() =>
      this.api.post('/session/reauthenticate', body, { keepSession: true }),
    );
    if (done) this.ref.close(true);
  }
}
