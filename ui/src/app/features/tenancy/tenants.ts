import { ChangeDetectionStrategy, Component, inject } from '@angular/core';

import { Dialogs } from '@core/dialog/dialogs';
import { Icon } from '@core/icon/icon';
import { keysetList } from '@core/list/keyset-list';
import { ListFrame } from '@core/list/list-frame';
import { Badge } from '@core/page/badge';
import { CopyId } from '@core/page/copy-id';
import { EmptyState } from '@core/page/empty-state';
import { PageHeader } from '@core/page/page-header';
import { Session } from '@core/session/session';
import { Toasts } from '@core/feedback/toasts';
import { Commands } from '@core/shortcut/commands';
import { Time } from '@core/time/time';

import { CreateTenant } from './create-tenant';
import { Tenant } from './tenant';
import { TenantSettingsDialog } from './tenant-settings';

/** The tenants that the active tenant can see, and making a new one. */
@Component({
  selector: 'nb-tenants',
  imports: [Badge, CopyId, EmptyState, Icon, ListFrame, PageHeader, Time],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './tenants.html',
})
export class Tenants {
  private readonly dialogs = inject(Dialogs);
  private readonly toasts = inject(Toasts);
  protected readonly session = inject(Session);
  protected readonly list = keysetList<Tenant>('/tenants');

  constructor() {
    inject(Commands).offer({
      id: 'tenant.create',
      label: $localize`New tenant`,
      group: $localize`Tenants`,
      icon: 'plus',
      run: () => this.create(),
    });
  }

  protected nameOf(id: string | null): string {
    return this.list.items().find((tenant) => tenant.id === id)?.name ?? '–';
  }

  protected async create(): Promise<void> {
    const made = await this.dialogs.open<Tenant>(CreateTenant, this.list.items());
    if (!made) return;
    this.toasts.done($localize`The tenant ${made.name} exists now.`);
    await Promise.all([this.list.reload(), this.session.refresh().catch(() => undefined)]);
  }

  protected async settings(tenant: Tenant): Promise<void> {
    await this.dialogs.open(TenantSettingsDialog, tenant);
  }
}
