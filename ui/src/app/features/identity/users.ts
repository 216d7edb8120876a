import { CdkMenu, CdkMenuItem, CdkMenuTrigger } from '@angular/cdk/menu';
import { ChangeDetectionStrategy, Component, inject } from '@angular/core';

import { Api } from '@core/api/api';
import { Dialogs } from '@core/dialog/dialogs';
import { action } from '@core/feedback/action';
import { Toasts } from '@core/feedback/toasts';
import { Icon } from '@core/icon/icon';
import { keysetList } from '@core/list/keyset-list';
import { ListFrame } from '@core/list/list-frame';
import { Badge } from '@core/page/badge';
import { EmptyState } from '@core/page/empty-state';
import { PageHeader } from '@core/page/page-header';
import { Session } from '@core/session/session';
import { Commands } from '@core/shortcut/commands';
import { Time } from '@core/time/time';

import { CreateUser } from './create-user';
import { User } from './user';
import { UserRoles } from './user-roles';

/** The people of the active tenant: inviting, disabling, giving roles. */
@Component({
  selector: 'nb-users',
  imports: [Badge, CdkMenu, CdkMenuItem, CdkMenuTrigger, EmptyState, Icon, ListFrame, PageHeader, Time],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './users.html',
})
export class Users {
  private readonly api = inject(Api);
  private readonly dialogs = inject(Dialogs);
  private readonly toasts = inject(Toasts);
  protected readonly session = inject(Session);
  protected readonly list = keysetList<User>('/users');
  protected readonly changing = action('toast');

  constructor() {
    inject(Commands).offer({
      id: 'user.create',
      label: $localize`New user`,
      group: $localize`Users`,
      icon: 'plus',
      run: () => this.create(),
    });
  }

  protected moreLabel(user: User): string {
    return $localize`More for ${user.name}`;
  }

  protected async create(): Promise<void> {
    const made = await this.dialogs.open<User>(CreateUser);
    if (!made) return;
    this.toasts.done($localize`${made.name} can sign in now.`);
    await this.list.reload();
  }

  protected async roles(user: User): Promise<void> {
    await this.dialogs.open(UserRoles, user);
    await this.list.reload();
  }

  protected async setStatus(user: User, status: User['status']): Promise<void> {
    if (status === 'disabled' && !(await this.sure(user))) return;
    const done = await this.changing.run(() => this.api.patch(`/users/${user.id}`, { status }));
    if (done) this.list.patch((one) => one.id === user.id, (one) => ({ ...one, status }));
  }

  private sure(user: User): Promise<boolean> {
    return this.dialogs.confirm({
      heading: $localize`Disable ${user.name}?`,
      text: $localize`All sessions, tokens and live connections of this account end at once. Nothing is deleted and the account can be enabled again.`,
      verb: $localize`Disable account`,
      danger: true,
    });
  }
}
