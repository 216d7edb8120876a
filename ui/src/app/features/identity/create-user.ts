import { DialogRef } from '@angular/cdk/dialog';
import { ChangeDetectionStrategy, Component, inject, signal } from '@angular/core';
import { FormControl, FormGroup, ReactiveFormsModule, Validators } from '@angular/forms';

import { Api } from '@core/api/api';
import { DialogFrame } from '@core/dialog/dialog-frame';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Field, FieldInput } from '@core/form/field';
import { PasswordStrength } from '@core/form/password-strength';
import { PickList } from '@core/form/pick-list';
import { submit } from '@core/form/submit';
import { keysetList } from '@core/list/keyset-list';

import { RoleRef, User } from './user';

/** Makes an account; closes with it. */
@Component({
  selector: 'nb-create-user',
  imports: [DialogFrame, Field, FieldInput, PasswordStrength, PickList, ProblemNotice, ReactiveFormsModule],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <form [formGroup]="form" (ngSubmit)="send()" novalidate>
      <nb-dialog-frame i18n-heading heading="New user">
        <nb-problem [problem]="sending.problem() ?? roles.problem()" />
        <nb-field i18n-label label="Name" [error]="sending.error('name')">
          <input nbInput autocomplete="off" formControlName="name" cdkFocusInitial />
        </nb-field>
        <nb-field i18n-label label="E-mail address" [error]="sending.error('email')">
          <input nbInput type="email" autocomplete="off" formControlName="email" />
        </nb-field>
        <nb-field
          i18n-label
          label="First password"
          i18n-hint
          hint="Tell it in person. At least 12 characters; a sentence is good."
          [error]="sending.error('password')"
        >
          <input nbInput type="password" autocomplete="new-password" formControlName="password" />
        </nb-field>
        <nb-password-strength [password]="form.controls.password.value" />
        <nb-pick-list i18n-legend legend="Roles" [items]="roles.items()" [(chosen)]="chosen" />
        <ng-container actions>
          <button type="button" class="button" (click)="ref.close()" i18n>Cancel</button>
          <button class="button primary" [disabled]="sending.busy()" i18n>Create account</button>
        </ng-container>
      </nb-dialog-frame>
    </form>
  `,
})
export class CreateUser {
  private readonly api = inject(Api);
  protected readonly ref = inject<DialogRef<User>>(DialogRef);
  protected readonly roles = keysetList<RoleRef>('/roles');
  protected readonly chosen = signal<ReadonlySet<string>>(new Set());
  protected readonly form = new FormGroup({
    name: new FormControl('', { nonNullable: true, validators: Validators.required }),
    email: new FormControl('', { nonNullable: true, validators: [Validators.required, Validators.email] }),
    password: new FormControl('', {
      nonNullable: true,
      validators: [Validators.required, Validators.minLength(12)],
    }),
  });
  protected readonly sending = submit(this.form);

  protected async send(): Promise<void> {
    if (!this.sending.ready()) return;
    const body = { ...this.form.getRawValue(), role_ids: [...this.chosen()] };
    await this.sending.run(async () => this.ref.close(await this.api.post<User>('/users', body)));
  }
}
