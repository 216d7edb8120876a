import { ChangeDetectionStrategy, Component, inject } from '@angular/core';

import { Api } from '@core/api/api';
import { Dialogs } from '@core/dialog/dialogs';
import { action } from '@core/feedback/action';
import { Toasts } from '@core/feedback/toasts';
import { Icon } from '@core/icon/icon';
import { keysetList } from '@core/list/keyset-list';
import { ListFrame } from '@core/list/list-frame';
import { EmptyState } from '@core/page/empty-state';
import { PageHeader } from '@core/page/page-header';
import { Commands } from '@core/shortcut/commands';

import { CreateRole } from './create-role';
import { Explain } from './explain';
import { GrantChip } from './grant-chip';
import { Role } from './role';

/** Roles and their grants, and the explanation of a permission. */
@Component({
  selector: 'nb-roles',
  imports: [EmptyState, Explain, GrantChip, Icon, ListFrame, PageHeader],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './roles.html',
  styles: `
    .grants {
      display: flex;
      flex-wrap: wrap;
      gap: var(--s1);
      min-width: 16rem;
    }
    nb-explain {
      display: block;
      margin-top: var(--s6);
    }
  `,
})
export class Roles {
  private readonly api = inject(Api);
  private readonly dialogs = inject(Dialogs);
  private readonly toasts = inject(Toasts);
  protected readonly list = keysetList<Role>('/roles');
  protected readonly changing = action('toast');

  constructor() {
    inject(Commands).offer({
      id: 'role.create',
      label: $localize`New role`,
      group: $localize`Roles`,
      icon: 'plus',
      run: () => this.create(),
    });
  }

  protected async create(): Promise<void> {
    const made = await this.dialogs.open<Role>(CreateRole, undefined, { wide: true });
    if (!made) return;
    this.toasts.done($localize`The role ${made.name} can be given to users now.`);
    await this.list.reload();
  }

  protected async remove(role: Role): Promise<void> {
    const sure = await this.dialogs.confirm({
      heading: $localize`Delete the role ${role.name}?`,
      text: $localize`Everybody who holds it loses what it allows at once.`,
      verb: $localize`Delete role`,
      danger: true,
    });
    if (!sure || !(await this.changing.run(() => this.api.delete(`/roles/${role.id}`)))) return;
    await this.list.reload();
  }
}
