import { ChangeDetectionStrategy, Component, computed, inject, input, signal } from '@angular/core';
import { Router, RouterLink } from '@angular/router';

import { Icon } from '@core/icon/icon';
import { ListFrame } from '@core/list/list-frame';
import { SearchBox } from '@core/list/search-box';
import { wholeList } from '@core/list/whole-list';
import { Badge } from '@core/page/badge';
import { EmptyState } from '@core/page/empty-state';
import { PageHeader } from '@core/page/page-header';
import { Session } from '@core/session/session';
import { Commands } from '@core/shortcut/commands';
import { Time } from '@core/time/time';
import { TreeCell } from '@core/tree/tree-cell';
import { treeMatches, treeRows } from '@core/tree/tree';

import { Tenant, tenantState } from './tenant';
import { TenantActions } from './tenant-actions';

/** The tenants that the active tenant can see, as a tree. */
@Component({
  selector: 'nb-tenants',
  imports: [Badge, EmptyState, Icon, ListFrame, PageHeader, RouterLink, SearchBox, TenantActions, Time, TreeCell],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './tenants.html',
  styleUrl: './tenants.scss',
})
export class Tenants {
  private readonly router = inject(Router);
  protected readonly session = inject(Session);

  /** What to look for, and whether deleted tenants are shown; both from the address. */
  readonly q = input<string>();
  readonly deleted = input<string>();

  protected readonly list = wholeList<Tenant>(() =>
    this.deleted() ? { path: '/tenants', query: { include: 'deleted' } } : '/tenants',
  );
  protected readonly closed = signal<ReadonlySet<string>>(new Set());
  protected readonly state = tenantState;
  protected readonly rows = computed(() => {
    const query = this.q()?.trim().toLowerCase();
    const items = this.list.items();
    if (!query) return treeRows(items, this.closed());
    const has = (tenant: Tenant) =>
      [tenant.name, tenant.description, tenant.contact_email].some((text) => text.toLowerCase().includes(query));
    return treeRows(treeMatches(items, has));
  });

  constructor() {
    inject(Commands).offer({
      id: 'tenant.create',
      label: $localize`New tenant`,
      group: $localize`Tenants`,
      icon: 'plus',
      run: () => this.router.navigateByUrl('/tenants/new'),
    });
  }

  protected flip(id: string): void {
    this.closed.update((old) => {
      const next = new Set(old);
      if (!next.delete(id)) next.add(id);
      return next;
    });
  }

  protected go(change: { q?: string | null; deleted?: string | null }): void {
    void this.router.navigate([], { queryParams: change, queryParamsHandling: 'merge', replaceUrl: true });
  }
}
