import { CdkMenu, CdkMenuItem, CdkMenuTrigger } from '@angular/cdk/menu';
import { ChangeDetectionStrategy, Component, inject, input } from '@angular/core';
import { Router, RouterLink } from '@angular/router';

import { Dialogs } from '@core/dialog/dialogs';
import { Toasts } from '@core/feedback/toasts';
import { Icon } from '@core/icon/icon';
import { IconName } from '@core/icon/icons';
import { keysetList } from '@core/list/keyset-list';
import { ListFrame } from '@core/list/list-frame';
import { SearchBox } from '@core/list/search-box';
import { Badge } from '@core/page/badge';
import { EmptyState } from '@core/page/empty-state';
import { PageHeader } from '@core/page/page-header';
import { Session } from '@core/session/session';
import { Commands } from '@core/shortcut/commands';
import { Time } from '@core/time/time';

import { CreateInvitation } from './create-invitation';
import { CreateUser } from './create-user';
import { PeopleTabs } from './people-tabs';
import { User, UserVerb, sourceWord, userPermission, userVerbs } from './user';
import { UserWork } from './user-work';

/** The people of the active tenant: who they are, what they hold, what can be done with their accounts. */
@Component({
  selector: 'nb-users',
  imports: [
    Badge,
    CdkMenu,
    CdkMenuItem,
    CdkMenuTrigger,
    EmptyState,
    Icon,
    ListFrame,
    PageHeader,
    PeopleTabs,
    RouterLink,
    SearchBox,
    Time,
  ],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './users.html',
  styleUrl: './people.scss',
})
export class Users {
  private readonly dialogs = inject(Dialogs);
  private readonly router = inject(Router);
  private readonly toasts = inject(Toasts);
  protected readonly session = inject(Session);
  protected readonly work = inject(UserWork);

  /** What to look for, from the address. */
  readonly q = input<string>();

  protected readonly list = keysetList<User>('/users', () => ({ q: this.q() }), 'after');
  protected readonly source = sourceWord;
  protected readonly words: Readonly<Record<UserVerb, { label: string; icon: IconName; danger?: boolean }>> = {
    roles: { label: $localize`Roles`, icon: 'role' },
    sessions: { label: $localize`Sessions`, icon: 'screen' },
    reset: { label: $localize`Password reset link`, icon: 'key' },
    mfa: { label: $localize`Reset second factor`, icon: 'lock' },
    enable: { label: $localize`Enable account`, icon: 'play' },
    disable: { label: $localize`Disable account`, icon: 'pause', danger: true },
    remove: { label: $localize`Remove from this tenant`, icon: 'trash', danger: true },
  };

  constructor() {
    inject(Commands).offer(
      {
        id: 'user.create',
        label: $localize`New user`,
        group: $localize`People`,
        icon: 'plus',
        run: () => this.create(),
      },
      {
        id: 'invitation.create',
        label: $localize`Invite somebody`,
        group: $localize`People`,
        icon: 'mail',
        run: () => this.invite(),
      },
    );
  }

  protected verbs(user: User): UserVerb[] {
    return userVerbs(user, this.session.user()?.id).filter((verb) => this.session.can(userPermission[verb]));
  }

  protected moreLabel(user: User): string {
    return $localize`More for ${user.name}`;
  }

  protected search(text: string): void {
    void this.router.navigate([], { queryParams: { q: text || null }, queryParamsHandling: 'merge', replaceUrl: true });
  }

  protected async create(): Promise<void> {
    const made = await this.dialogs.open<User>(CreateUser);
    if (!made) return;
    this.toasts.done($localize`${made.name} can sign in now.`);
    await this.list.reload();
  }

  protected async invite(): Promise<void> {
    await this.dialogs.open(CreateInvitation);
  }

  protected async run(verb: UserVerb, user: User): Promise<void> {
    if (await this.work.do(verb, user)) await this.list.reload();
  }
}
