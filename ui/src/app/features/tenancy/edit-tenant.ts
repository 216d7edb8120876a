import { DIALOG_DATA, DialogRef } from '@angular/cdk/dialog';
import { ChangeDetectionStrategy, Component, inject } from '@angular/core';
import { FormControl, FormGroup, ReactiveFormsModule, Validators } from '@angular/forms';

import { Api } from '@core/api/api';
import { DialogFrame } from '@core/dialog/dialog-frame';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Field, FieldInput } from '@core/form/field';
import { submit } from '@core/form/submit';

import { Tenant } from './tenant';

/** Renames a tenant and changes what is said about it; closes with true when saved. */
@Component({
  selector: 'nb-edit-tenant',
  imports: [DialogFrame, Field, FieldInput, ProblemNotice, ReactiveFormsModule],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <form [formGroup]="form" (ngSubmit)="send()" novalidate>
      <nb-dialog-frame [heading]="heading">
        <nb-problem [problem]="sending.problem()" />
        <nb-field i18n-label label="Name" [error]="sending.error('name')">
          <input nbInput autocomplete="off" maxlength="100" formControlName="name" cdkFocusInitial />
        </nb-field>
        <nb-field i18n-label label="Contact e-mail" [optional]="true" [error]="sending.error('contact_email')">
          <input nbInput type="email" autocomplete="off" formControlName="contact_email" />
        </nb-field>
        <nb-field i18n-label label="Description" [optional]="true" [error]="sending.error('description')">
          <textarea nbInput rows="3" maxlength="1000" formControlName="description"></textarea>
        </nb-field>
        <ng-container actions>
          <button type="button" class="button" (click)="ref.close(false)" i18n>Cancel</button>
          <button class="button primary" [disabled]="sending.busy()" i18n>Save</button>
        </ng-container>
      </nb-dialog-frame>
    </form>
  `,
})
export class EditTenant {
  private readonly api = inject(Api);
  private readonly tenant = inject<Tenant>(DIALOG_DATA);
  protected readonly ref = inject<DialogRef<boolean>>(DialogRef);
  protected readonly heading = $localize`Edit ${this.tenant.name}`;
  protected readonly form = new FormGroup({
    name: new FormControl(this.tenant.name, { nonNullable: true, validators: Validators.required }),
    contact_email: new FormControl(this.tenant.contact_email, { nonNullable: true, validators: Validators.email }),
    description: new FormControl(this.tenant.description, { nonNullable: true }),
  });
  protected readonly sending = submit(this.form);

  protected async send(): Promise<void> {
    if (!this.sending.ready()) return;
    const path = `/tenants/${this.tenant.id}`;
    if (await this.sending.run(() => this.api.patch(path, this.form.getRawValue()))) this.ref.close(true);
  }
}
