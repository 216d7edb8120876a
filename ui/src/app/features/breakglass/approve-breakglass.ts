import { DIALOG_DATA, DialogRef } from '@angular/cdk/dialog';
import { ChangeDetectionStrategy, Component, inject } from '@angular/core';
import { FormControl, FormGroup, ReactiveFormsModule, Validators } from '@angular/forms';

import { Api } from '@core/api/api';
import { DialogFrame } from '@core/dialog/dialog-frame';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Field, FieldInput } from '@core/form/field';
import { submit } from '@core/form/submit';

import type { BreakglassRequest } from './breakglass';

/** Approves a request with the password; closes with true when the approval stands. */
@Component({
  selector: 'nb-approve-breakglass',
  imports: [DialogFrame, Field, FieldInput, ProblemNotice, ReactiveFormsModule],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <form [formGroup]="form" (ngSubmit)="send()" novalidate>
      <nb-dialog-frame i18n-heading heading="Approve emergency access">
        <p i18n>
          {{ request.requested_by.name }} asks for {{ request.minutes }} minutes:
          <strong>“{{ request.reason }}”</strong>
        </p>
        <nb-problem [problem]="sending.problem()" />
        <nb-field i18n-label label="Your password" [error]="sending.error('password')">
          <input nbInput type="password" autocomplete="current-password" formControlName="password" cdkFocusInitial />
        </nb-field>
        <ng-container actions>
          <button type="button" class="button" (click)="ref.close()" i18n>Cancel</button>
          <button class="button danger primary" [disabled]="sending.busy()" i18n>Approve</button>
        </ng-container>
      </nb-dialog-frame>
    </form>
  `,
})
export class ApproveBreakglass {
  private readonly api = inject(Api);
  protected readonly ref = inject<DialogRef<boolean>>(DialogRef);
  protected readonly request = inject<BreakglassRequest>(DIALOG_DATA);
  protected readonly form = new FormGroup({
    password: new FormControl('', { nonNullable: true, validators: Validators.required }),
  });
  protected readonly sending = submit(this.form);

  protected async send(): Promise<void> {
    if (!this.sending.ready()) return;
    const path = `/breakglass/requests/${this.request.id}/approve`;
    const body = this.form.getRawValue();
    if (await this.sending.run(() => this.api.post(path, body, { keepSession: true }))) this.ref.close(true);
  }
}
