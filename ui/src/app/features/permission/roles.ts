import { ChangeDetectionStrategy, Component, inject } from '@angular/core';
import { Router, RouterLink } from '@angular/router';

import { Icon } from '@core/icon/icon';
import { ListFrame } from '@core/list/list-frame';
import { EmptyState } from '@core/page/empty-state';
import { PageHeader } from '@core/page/page-header';
import { GrantChip } from '@core/permission/grant-chip';
import { Session } from '@core/session/session';
import { Commands } from '@core/shortcut/commands';

import { PermissionTabs } from './permission-tabs';
import { Role } from './role';
import { roleRemoval } from './role-removal';
import { Vocabulary } from './vocabulary';

/** The roles of the tenant and their grants. */
@Component({
  selector: 'nb-roles',
  imports: [EmptyState, GrantChip, Icon, ListFrame, PageHeader, PermissionTabs, RouterLink],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './roles.html',
  styles: `
    .grants {
      display: flex;
      flex-wrap: wrap;
      align-items: baseline;
      gap: var(--s1) var(--s2);
      min-width: 16rem;
    }
  `,
})
export class Roles {
  private readonly removal = roleRemoval();
  protected readonly session = inject(Session);
  protected readonly list = inject(Vocabulary).roles;
  protected readonly changing = this.removal.changing;
  protected readonly shown = 6;

  constructor() {
    const router = inject(Router);
    void this.list.reload(); // another page may have changed them
    inject(Commands).offer({
      id: 'role.create',
      label: $localize`New role`,
      group: $localize`Roles`,
      icon: 'plus',
      run: () => router.navigateByUrl('/roles/new'),
    });
  }

  protected inherited(role: Role): string {
    const names = this.list.items().filter((one) => role.inherits?.includes(one.id));
    return names.map((one) => one.name).join(', ');
  }

  protected async remove(role: Role): Promise<void> {
    if (await this.removal.remove(role)) await this.list.reload();
  }
}
