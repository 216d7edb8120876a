import { DIALOG_DATA, DialogRef } from '@angular/cdk/dialog';
import { ChangeDetectionStrategy, Component, inject, signal } from '@angular/core';

import { Api } from '@core/api/api';
import { DialogFrame } from '@core/dialog/dialog-frame';
import { action } from '@core/feedback/action';
import { ProblemNotice } from '@core/feedback/problem-notice';

import { Limits, LimitsField } from './limits-field';
import { Role } from './role';
import { NamedSubject, SubjectPicker } from './subject-picker';
import { Vocabulary } from './vocabulary';

/** What the dialog needs. */
export interface RoleToAssign {
  role: Role;
  vocabulary: Vocabulary;
}

/** Gives a role to somebody, perhaps only in a compartment or for a time; closes with their name. */
@Component({
  selector: 'nb-assign-role',
  imports: [DialogFrame, LimitsField, ProblemNotice, SubjectPicker],
  providers: [{ provide: Vocabulary, useFactory: () => inject<RoleToAssign>(DIALOG_DATA).vocabulary }],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <form (submit)="send($event)" novalidate>
      <nb-dialog-frame [heading]="heading">
        <nb-problem [problem]="sending.problem()" />
        <nb-subject-picker [(subject)]="subject" [error]="tried() && !subject() ? missing : ''" />
        <nb-limits-field [(limits)]="limits" />
        <p class="small-text soft" i18n>When the time is over, what the role allows ends at once, with sessions and live connections that rest on it.</p>
        <ng-container actions>
          <button type="button" class="button" (click)="ref.close()" i18n>Cancel</button>
          <button class="button primary" [disabled]="sending.busy()" i18n>Give the role</button>
        </ng-container>
      </nb-dialog-frame>
    </form>
  `,
})
export class AssignRole {
  private readonly api = inject(Api);
  private readonly role = inject<RoleToAssign>(DIALOG_DATA).role;
  protected readonly ref = inject<DialogRef<string>>(DialogRef);
  protected readonly heading = $localize`Give the role ${this.role.name}`;
  protected readonly missing = $localize`Choose who gets it.`;
  protected readonly subject = signal<NamedSubject | null>(null);
  protected readonly limits = signal<Limits>({});
  protected readonly tried = signal(false);
  protected readonly sending = action();

  protected async send(event: Event): Promise<void> {
    event.preventDefault();
    this.tried.set(true);
    const subject = this.subject();
    if (!subject) return;
    const { subject_kind, subject_id, name } = subject;
    const set = Object.entries(this.limits()).filter(([, value]) => value);
    const body = { subject_kind, subject_id, role_id: this.role.id, ...Object.fromEntries(set) };
    if (await this.sending.run(() => this.api.post('/assignments', body))) this.ref.close(name);
  }
}
