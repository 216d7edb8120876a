import { DIALOG_DATA, DialogRef } from '@angular/cdk/dialog';
import { ChangeDetectionStrategy, Component, inject, signal } from '@angular/core';

import { Api } from '@core/api/api';
import { DialogFrame } from '@core/dialog/dialog-frame';
import { action } from '@core/feedback/action';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { keysetList } from '@core/list/keyset-list';

import { RoleRef, User } from './user';

/** Gives roles to a person and takes them; each change counts at once. */
@Component({
  selector: 'nb-user-roles',
  imports: [DialogFrame, ProblemNotice],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <nb-dialog-frame [heading]="heading">
      <p class="soft" i18n>A change counts from the next request on, also in windows that are open.</p>
      <nb-problem [problem]="roles.problem() ?? changing.problem()" />
      <div class="list" role="group" [attr.aria-label]="heading" [attr.aria-busy]="changing.busy()">
        @for (role of roles.items(); track role.id) {
          <label class="check">
            <input
              type="checkbox"
              [checked]="held().has(role.id)"
              [disabled]="changing.busy()"
              (change)="toggle(role, box)"
              #box
            />
            <span>
              {{ role.name }}<br /><span class="small-text soft">{{ role.description }}</span>
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
export class UserRoles {
  private readonly api = inject(Api);
  private readonly user = inject<User>(DIALOG_DATA);
  protected readonly ref = inject<DialogRef<void>>(DialogRef);
  protected readonly heading = $localize`Roles of ${this.user.name}`;
  protected readonly roles = keysetList<RoleRef & { description: string }>('/roles');
  protected readonly held = signal<ReadonlySet<string>>(new Set(this.user.roles.map((role) => role.id)));
  protected readonly changing = action();

  protected async toggle(role: RoleRef, box: HTMLInputElement): Promise<void> {
    const path = `/users/${this.user.id}/roles`;
    const give = box.checked;
    const done = await this.changing.run(() =>
      give ? this.api.post(path, { role_id: role.id }) : this.api.delete(`${path}/${role.id}`),
    );
    if (!done) {
      box.checked = !give;
      return;
    }
    const next = new Set(this.held());
    if (give) next.add(role.id);
    else next.delete(role.id);
    this.held.set(next);
  }
}
