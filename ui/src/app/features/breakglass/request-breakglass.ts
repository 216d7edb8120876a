import { DialogRef } from '@angular/cdk/dialog';
import { ChangeDetectionStrategy, Component, inject } from '@angular/core';
import { FormControl, FormGroup, ReactiveFormsModule, Validators } from '@angular/forms';

import { Api } from '@core/api/api';
import { DialogFrame } from '@core/dialog/dialog-frame';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Field, FieldInput } from '@core/form/field';
import { submit } from '@core/form/submit';

/** Asks for emergency access; closes with true when the request stands. */
@Component({
  selector: 'nb-request-breakglass',
  imports: [DialogFrame, Field, FieldInput, ProblemNotice, ReactiveFormsModule],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <form [formGroup]="form" (ngSubmit)="send()" novalidate>
      <nb-dialog-frame i18n-heading heading="Request emergency access">
        <p class="soft" i18n>Everybody who may see the audit trail is told at once. Two people have to approve.</p>
        <nb-problem [problem]="sending.problem()" />
        <nb-field
          i18n-label
          label="Why is it needed"
          i18n-hint
          hint="Somebody will read this in a year: what is broken, and what you will do."
          [error]="sending.error('reason')"
        >
          <textarea nbInput formControlName="reason" cdkFocusInitial></textarea>
        </nb-field>
        <nb-field i18n-label label="For how long" [error]="sending.error('minutes')">
          <select nbInput formControlName="minutes">
            <option [ngValue]="15" i18n>15 minutes</option>
            <option [ngValue]="30" i18n>30 minutes</option>
            <option [ngValue]="60" i18n>60 minutes, the longest</option>
          </select>
        </nb-field>
        <ng-container actions>
          <button type="button" class="button" (click)="ref.close()" i18n>Cancel</button>
          <button class="button danger primary" [disabled]="sending.busy()" i18n>Send the request</button>
        </ng-container>
      </nb-dialog-frame>
    </form>
  `,
})
export class RequestBreakglass {
  private readonly api = inject(Api);
  protected readonly ref = inject<DialogRef<boolean>>(DialogRef);
  protected readonly form = new FormGroup({
    reason: new FormControl('', {
      nonNullable: true,
      validators: [Validators.required, Validators.minLength(10)],
    }),
    minutes: new FormControl(30, { nonNullable: true }),
  });
  protected readonly sending = submit(this.form);

  protected async send(): Promise<void> {
    if (!this.sending.ready()) return;
    const body = this.form.getRawValue();
    if (await this.sending.run(() => this.api.post('/breakglass/requests', body))) this.ref.close(true);
  }
}
