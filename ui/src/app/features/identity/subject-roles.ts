import { DIALOG_DATA, DialogRef } from '@angular/cdk/dialog';
import { ChangeDetectionStrategy, Component, computed, inject } from '@angular/core';

import { Api } from '@core/api/api';
import { DialogFrame } from '@core/dialog/dialog-frame';
import { action } from '@core/feedback/action';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { keysetList } from '@core/list/keyset-list';
import { wholeList } from '@core/list/whole-list';

import { RoleRef } from './user';

/** Whose roles are changed. */
export interface Subject {
  kind: 'group' | 'service_account';
  id: string;
  name: string;
}

/** A role that is given to somebody, perhaps only for a part or a time. */
interface Assignment {
  id: string;
  role_id: string;
  compartment_id?: string | null;
  not_before?: string | null;
  expires_at?: string | null;
}

/** Gives roles to a group or a service account and takes them; each change counts at once. */
@Component({
  selector: 'nb-subject-roles',
  imports: [DialogFrame, ProblemNotice],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <nb-dialog-frame [heading]="heading">
      <p class="soft" i18n>A change counts from the next request on, also in windows that are open.</p>
      <nb-problem [problem]="roles.problem() ?? assignments.problem() ?? changing.problem()" />
      <div class="list" role="group" [attr.aria-label]="heading" [attr.aria-busy]="changing.busy()">
        @for (role of roles.items(); track role.id) {
          <label class="check">
            <input
              type="checkbox"
              [checked]="held().has(role.id)"
              [disabled]="changing.busy() || assignments.loading()"
              (change)="toggle(role, box)"
              #box
            />
            <span>
              {{ role.name }}<br /><span class="small-text soft">{{ role.description }}</span>
              @if (limited().has(role.id)) {
                <br /><span class="small-text soft" i18n>Also given for a part or a time; see the page of the role.</span>
              }
            </span>
          </label>
        }
      </div>
      <button actions type="button" class="button primary" (click)="ref.close()" i18n>Done</button>
    </nb-dialog-frame>
  `,
  styles: `
    .list {
      display: grid;
      gap: var(--s3);
    }
  `,
})
export class SubjectRoles {
  private readonly api = inject(Api);
  private readonly subject = inject<Subject>(DIALOG_DATA);
  protected readonly ref = inject<DialogRef<void>>(DialogRef);
  protected readonly heading = $localize`Roles of ${this.subject.name}`;
  protected readonly roles = keysetList<RoleRef & { description: string }>('/roles');
  protected readonly assignments = wholeList<Assignment>(() => ({
    path: '/assignments',
    query: { subject_kind: this.subject.kind, subject_id: this.subject.id },
  }));
  protected readonly changing = action();

  /** Roles that count everywhere and always, with the assignment that gives them. */
  protected readonly held = computed(
    () => new Map(this.assignments.items().filter(isWhole).map((one) => [one.role_id, one.id])),
  );
  protected readonly limited = computed(
    () => new Set(this.assignments.items().filter((one) => !isWhole(one)).map((one) => one.role_id)),
  );

  protected async toggle(role: RoleRef, box: HTMLInputElement): Promise<void> {
    const given = this.held().get(role.id);
    const body = { subject_kind: this.subject.kind, subject_id: this.subject.id, role_id: role.id };
    const done = await this.changing.run(() =>
      given ? this.api.delete(`/assignments/${given}`) : this.api.post('/assignments', body),
    );
    if (done) await this.assignments.reload();
    box.checked = this.held().has(role.id);
  }
}

function isWhole(one: Assignment): boolean {
  return !one.compartment_id && !one.not_before && !one.expires_at;
}
