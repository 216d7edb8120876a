import { ChangeDetectionStrategy, Component, inject } from '@angular/core';
import { Router, RouterLink } from '@angular/router';

import { Dialogs } from '@core/dialog/dialogs';
import { Icon } from '@core/icon/icon';
import { keysetList } from '@core/list/keyset-list';
import { ListFrame } from '@core/list/list-frame';
import { EmptyState } from '@core/page/empty-state';
import { PageHeader } from '@core/page/page-header';
import { Session } from '@core/session/session';
import { Commands } from '@core/shortcut/commands';
import { Time } from '@core/time/time';

import { EditNamed, NamedDraft } from './edit-named';
import { Group } from './group';
import { PeopleTabs } from './people-tabs';
import { sourceWord } from './user';

/** The groups of the active tenant. */
@Component({
  selector: 'nb-groups',
  imports: [EmptyState, Icon, ListFrame, PageHeader, PeopleTabs, RouterLink, Time],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './groups.html',
  styleUrl: './people.scss',
})
export class Groups {
  private readonly dialogs = inject(Dialogs);
  private readonly router = inject(Router);
  protected readonly session = inject(Session);
  protected readonly list = keysetList<Group>('/groups', () => ({}), 'after');
  protected readonly source = sourceWord;

  constructor() {
    inject(Commands).offer({
      id: 'group.create',
      label: $localize`New group`,
      group: $localize`People`,
      icon: 'plus',
      run: () => this.create(),
    });
  }

  protected async create(): Promise<void> {
    const made = await this.dialogs.open<Group, NamedDraft>(EditNamed, {
      heading: $localize`New group`,
      hint: $localize`A team or a task: “Operators”, “On call”.`,
      verb: $localize`Create group`,
      path: '/groups',
      name: '',
      description: '',
    });
    if (made) await this.router.navigate(['/users/groups', made.id]);
  }
}
