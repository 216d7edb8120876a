import { DIALOG_DATA, DialogRef } from '@angular/cdk/dialog';
import { ChangeDetectionStrategy, Component, inject } from '@angular/core';
import { FormControl, FormGroup, ReactiveFormsModule, Validators } from '@angular/forms';

import { Api } from '@core/api/api';
import { DialogFrame } from '@core/dialog/dialog-frame';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Field, FieldInput } from '@core/form/field';
import { submit } from '@core/form/submit';

import { Tenant } from './tenant';

/** Makes a tenant; closes with it. */
@Component({
  selector: 'nb-create-tenant',
  imports: [DialogFrame, Field, FieldInput, ProblemNotice, ReactiveFormsModule],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <form [formGroup]="form" (ngSubmit)="send()" novalidate>
      <nb-dialog-frame i18n-heading heading="New tenant">
        <nb-problem [problem]="sending.problem()" />
        <nb-field i18n-label label="Name" [error]="sending.error('name')">
          <input nbInput autocomplete="off" formControlName="name" cdkFocusInitial />
        </nb-field>
        <nb-field
          i18n-label
          label="Under"
          i18n-hint
          hint="A tenant under another one can be given a part of its quota."
          [error]="sending.error('parent_id')"
        >
          <select nbInput formControlName="parent_id">
            <option value="" i18n>The active tenant</option>
            @for (tenant of tenants; track tenant.id) {
              <option [value]="tenant.id">{{ tenant.name }}</option>
            }
          </select>
        </nb-field>
        <nb-field i18n-label label="Description" [optional]="true" [error]="sending.error('description')">
          <input nbInput autocomplete="off" formControlName="description" />
        </nb-field>
        <nb-field i18n-label label="Contact e-mail" [optional]="true" [error]="sending.error('contact_email')">
          <input nbInput type="email" autocomplete="off" formControlName="contact_email" />
        </nb-field>
        <ng-container actions>
          <button type="button" class="button" (click)="ref.close()" i18n>Cancel</button>
          <button class="button primary" [disabled]="sending.busy()" i18n>Create tenant</button>
        </ng-container>
      </nb-dialog-frame>
    </form>
  `,
})
export class CreateTenant {
  private readonly api = inject(Api);
  protected readonly ref = inject<DialogRef<Tenant>>(DialogRef);
  protected readonly tenants = inject<readonly Tenant[]>(DIALOG_DATA);
  protected readonly form = new FormGroup({
    name: new FormControl('', { nonNullable: true, validators: Validators.required }),
    parent_id: new FormControl('', { nonNullable: true }),
    description: new FormControl('', { nonNullable: true }),
    contact_email: new FormControl('', { nonNullable: true, validators: Validators.email }),
  });
  protected readonly sending = submit(this.form);

  protected async send(): Promise<void> {
    if (!this.sending.ready()) return;
    const { parent_id, ...rest } = this.form.getRawValue();
    const body = parent_id ? { ...rest, parent_id } : rest;
    await this.sending.run(async () => this.ref.close(await this.api.post<Tenant>('/tenants', body)));
  }
}
