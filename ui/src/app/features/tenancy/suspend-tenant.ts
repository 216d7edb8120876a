import { DIALOG_DATA, DialogRef } from '@angular/cdk/dialog';
import { ChangeDetectionStrategy, Component, inject } from '@angular/core';
import { FormControl, FormGroup, ReactiveFormsModule, Validators } from '@angular/forms';

import { Api } from '@core/api/api';
import { DialogFrame } from '@core/dialog/dialog-frame';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Field, FieldInput } from '@core/form/field';
import { submit } from '@core/form/submit';

import { Tenant } from './tenant';

/** Suspends a tenant with a reason that its people can be told; closes with true when done. */
@Component({
  selector: 'nb-suspend-tenant',
  imports: [DialogFrame, Field, FieldInput, ProblemNotice, ReactiveFormsModule],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <form [formGroup]="form" (ngSubmit)="send()" novalidate>
      <nb-dialog-frame [heading]="heading">
        <p i18n>
          Nobody can act in it, or in what lies under it, from now on: sessions move to another tenant or end, tokens are refused. What runs on
          the clusters goes on running, and everything is back when the tenant is resumed.
        </p>
        <nb-problem [problem]="sending.problem()" />
        <nb-field
          i18n-label
          label="Reason"
          i18n-hint
          hint="Stands beside the tenant and in the audit record."
          [error]="sending.error('reason')"
        >
          <textarea nbInput rows="2" maxlength="500" formControlName="reason" cdkFocusInitial></textarea>
        </nb-field>
        <ng-container actions>
          <button type="button" class="button" (click)="ref.close(false)" i18n>Cancel</button>
          <button class="button primary danger" [disabled]="sending.busy()" i18n>Suspend tenant</button>
        </ng-container>
      </nb-dialog-frame>
    </form>
  `,
})
export class SuspendTenant {
  private readonly api = inject(Api);
  private readonly tenant = inject<Tenant>(DIALOG_DATA);
  protected readonly ref = inject<DialogRef<boolean>>(DialogRef);
  protected readonly heading = $localize`Suspend ${this.tenant.name}?`;
  protected readonly form = new FormGroup({
    reason: new FormControl('', { nonNullable: true, validators: Validators.required }),
  });
  protected readonly sending = submit(this.form);

  protected async send(): Promise<void> {
    if (!this.sending.ready()) return;
    const path = `/tenants/${this.tenant.id}/suspend`;
    if (await this.sending.run(() => this.api.post(path, this.form.getRawValue()))) this.ref.close(true);
  }
}
