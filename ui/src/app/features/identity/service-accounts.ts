import { ChangeDetectionStrategy, Component, inject } from '@angular/core';
import { Router, RouterLink } from '@angular/router';

import { Dialogs } from '@core/dialog/dialogs';
import { Icon } from '@core/icon/icon';
import { keysetList } from '@core/list/keyset-list';
import { ListFrame } from '@core/list/list-frame';
import { Badge } from '@core/page/badge';
import { EmptyState } from '@core/page/empty-state';
import { PageHeader } from '@core/page/page-header';
import { Session } from '@core/session/session';
import { Time } from '@core/time/time';

import { EditNamed, NamedDraft } from './edit-named';
import { PeopleTabs } from './people-tabs';
import { ServiceAccount } from './service-account';

/** The accounts of programs. */
@Component({
  selector: 'nb-service-accounts',
  imports: [Badge, EmptyState, Icon, ListFrame, PageHeader, PeopleTabs, RouterLink, Time],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './service-accounts.html',
  styleUrl: './people.scss',
})
export class ServiceAccounts {
  private readonly dialogs = inject(Dialogs);
  private readonly router = inject(Router);
  protected readonly session = inject(Session);
  protected readonly list = keysetList<ServiceAccount>('/service-accounts', () => ({}), 'after');

  protected async create(): Promise<void> {
    const made = await this.dialogs.open<ServiceAccount, NamedDraft>(EditNamed, {
      heading: $localize`New service account`,
      hint: $localize`What the program does: “CI runner”, “Backup”.`,
      verb: $localize`Create account`,
      path: '/service-accounts',
      name: '',
      description: '',
    });
    if (made) await this.router.navigate(['/users/service-accounts', made.id]);
  }
}
