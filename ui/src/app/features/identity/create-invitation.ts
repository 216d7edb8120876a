import { DialogRef } from '@angular/cdk/dialog';
import { ChangeDetectionStrategy, Component, inject, signal } from '@angular/core';
import { FormControl, FormGroup, ReactiveFormsModule, Validators } from '@angular/forms';

import { Api } from '@core/api/api';
import { DialogFrame } from '@core/dialog/dialog-frame';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Field, FieldInput } from '@core/form/field';
import { PickList } from '@core/form/pick-list';
import { submit } from '@core/form/submit';
import { keysetList } from '@core/list/keyset-list';
import { CopyBlock } from '@core/page/copy-block';
import { Time } from '@core/time/time';

import { NewInvitation } from './invitation';
import { RoleRef } from './user';

/** Invites somebody and shows the link once; closes with true when an invitation was made. */
@Component({
  selector: 'nb-create-invitation',
  imports: [CopyBlock, DialogFrame, Field, FieldInput, PickList, ProblemNotice, ReactiveFormsModule, Time],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    @if (made(); as invitation) {
      <nb-dialog-frame i18n-heading heading="Copy the link now">
        @if (invitation.mailed) {
          <p i18n>The link was mailed to {{ invitation.email }}. Copy it if you want to pass it on yourself as well.</p>
        } @else {
          <p i18n>
            Pass it on to {{ invitation.email }} by a way that only this person reads. Whoever has the link can come in.
          </p>
        }
        @if (invitation.mail_error) {
          <p class="soft" i18n>It could not be mailed: {{ invitation.mail_error }}</p>
        }
        <nb-copy-block [text]="invitation.link" i18n-label label="Invitation link" />
        <p class="small-text soft" i18n>
          It is shown this once and ends <nb-time [at]="invitation.expires_at" [relative]="true" />.
        </p>
        <button actions type="button" class="button primary" (click)="ref.close(true)" i18n>I have copied it</button>
      </nb-dialog-frame>
    } @else {
      <form [formGroup]="form" (ngSubmit)="send()" novalidate>
        <nb-dialog-frame i18n-heading heading="Invite somebody">
          <p class="soft" i18n>
            The link is mailed where a mail server is set up; you get it too. The person chooses a password with it, or signs in with the account they have.
          </p>
          <nb-problem [problem]="sending.problem() ?? roles.problem()" />
          <nb-field i18n-label label="Name" [error]="sending.error('name')">
            <input nbInput autocomplete="off" formControlName="name" cdkFocusInitial />
          </nb-field>
          <nb-field i18n-label label="E-mail address" [error]="sending.error('email')">
            <input nbInput type="email" autocomplete="off" formControlName="email" />
          </nb-field>
          <nb-pick-list i18n-legend legend="Roles" [items]="roles.items()" [(chosen)]="chosenRoles" />
          @if (groups.items().length > 0) {
            <nb-pick-list i18n-legend legend="Groups" [items]="groups.items()" [(chosen)]="chosenGroups" />
          }
          <ng-container actions>
            <button type="button" class="button" (click)="ref.close(false)" i18n>Cancel</button>
            <button class="button primary" [disabled]="sending.busy()" i18n>Invite</button>
          </ng-container>
        </nb-dialog-frame>
      </form>
    }
  `,
})
export class CreateInvitation {
  private readonly api = inject(Api);
  protected readonly ref = inject<DialogRef<boolean>>(DialogRef);
  protected readonly roles = keysetList<RoleRef>('/roles');
  protected readonly groups = keysetList<RoleRef>('/groups', () => ({ limit: 200 }), 'after');
  protected readonly chosenRoles = signal<ReadonlySet<string>>(new Set());
  protected readonly chosenGroups = signal<ReadonlySet<string>>(new Set());
  protected readonly made = signal<NewInvitation | null>(null);
  protected readonly form = new FormGroup({
    name: new FormControl('', { nonNullable: true, validators: Validators.required }),
    email: new FormControl('', { nonNullable: true, validators: [Validators.required, Validators.email] }),
  });
  protected readonly sending = submit(this.form);

  protected async send(): Promise<void> {
    if (!this.sending.ready()) return;
    const body = {
      ...this.form.getRawValue(),
      role_ids: [...this.chosenRoles()],
      group_ids: [...this.chosenGroups()],
    };
    await this.sending.run(async () => this.made.set(await this.api.post<NewInvitation>('/invitations', body)));
    if (this.made()) this.ref.disableClose = true;
  }
}
