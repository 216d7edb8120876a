import { ChangeDetectionStrategy, Component, computed, inject, input } from '@angular/core';
import { Router, RouterLink } from '@angular/router';

import { Api } from '@core/api/api';
import { Connection } from '@core/connection/connection';
import { action } from '@core/feedback/action';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Toasts } from '@core/feedback/toasts';
import { Icon } from '@core/icon/icon';
import { IconName } from '@core/icon/icons';
import { keysetList } from '@core/list/keyset-list';
import { Badge } from '@core/page/badge';
import { EmptyState } from '@core/page/empty-state';
import { PageHeader } from '@core/page/page-header';
import { Session } from '@core/session/session';
import { Time } from '@core/time/time';

import { GuestTable } from './guest-table';
import { ItemTable } from './item-table';
import { Selection, Tab, filtered, ordered, selected, tabOf } from './selection';
import { WholeInventory } from './whole-inventory';

const tabs: readonly { id: Tab; label: string; icon: IconName }[] = [
  { id: 'guest', label: $localize`Guests`, icon: 'vm' },
  { id: 'node', label: $localize`Nodes`, icon: 'node' },
  { id: 'storage', label: $localize`Storages`, icon: 'storage' },
  { id: 'network', label: $localize`Networks`, icon: 'network' },
  { id: 'pool', label: $localize`Pools`, icon: 'pool' },
];

/** Everything on the connected clusters as last collected; tab, filters and order are in the address. */
@Component({
  selector: 'nb-inventory',
  imports: [
    Badge,
    EmptyState,
    GuestTable,
    Icon,
    ItemTable,
    PageHeader,
    ProblemNotice,
    RouterLink,
    Time,
  ],
  providers: [WholeInventory],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './inventory.html',
  styleUrl: './inventory.scss',
})
export class Inventory {
  private readonly api = inject(Api);
  private readonly router = inject(Router);
  private readonly toasts = inject(Toasts);
  protected readonly session = inject(Session);
  protected readonly inventory = inject(WholeInventory);

  readonly kind = input<string>();
  readonly q = input<string>();
  readonly type = input<string>();
  readonly status = input<string>();
  readonly node = input<string>();
  readonly connection_id = input<string>();
  readonly managed = input<string>();
  readonly sort = input<string>();

  protected readonly tabs = tabs;
  protected readonly connections = keysetList<Connection>('/connections');
  protected readonly collecting = action('toast');
  protected readonly selection = computed<Selection>(() => ({
    tab: tabs.find((tab) => tab.id === this.kind())?.id ?? 'guest',
    q: this.q() ?? '',
    type: this.type() ?? '',
    status: this.status() ?? '',
    node: this.node() ?? '',
    connection: this.connection_id() ?? '',
    managed: this.managed() === 'true',
  }));
  private readonly found = computed(() => filtered(this.inventory.items(), this.selection()));
  protected readonly rows = computed(() =>
    ordered(selected(this.found(), this.selection()), this.sort() ?? 'name'),
  );
  protected readonly listed = computed(() => JSON.stringify(this.selection()));
  protected readonly counts = computed(() => countBy(this.found(), tabOf));
  protected readonly statuses = computed(() => {
    const tab = this.selection().tab;
    return distinct(this.inventory.items().filter((item) => tabOf(item) === tab).map((item) => item.status));
  });
  protected readonly nodes = computed(() => distinct(this.inventory.items().map((item) => item.node)));
  protected readonly guests = computed(() => {
    const all = this.inventory.items().filter((item) => tabOf(item) === 'guest');
    const nodes = countBy(all, (item) => `${item.connection_id}/node/${item.node}`);
    const pools = countBy(all, (item) => `${item.connection_id}/pool/${item.properties.pool ?? ''}`);
    return new Map<string, number>([...nodes, ...pools]);
  });
  protected readonly narrowed = computed(() => {
    const { q, type, status, node, connection, managed } = this.selection();
    return Boolean(q || type || status || node || connection || managed);
  });
  protected readonly nothingConnected = computed(() => this.connections.empty());

  protected go(queryParams: Record<string, string | null>): void {
    void this.router.navigate([], { queryParams, queryParamsHandling: 'merge', replaceUrl: true });
  }

  protected clear(): void {
    this.go({ q: null, type: null, status: null, node: null, connection_id: null, managed: null });
  }

  /** Asks every cluster for a new collection. */
  protected async collect(): Promise<void> {
    const all = this.connections.items();
    const done = await this.collecting.run(() =>
      Promise.all(all.map((one) => this.api.post(`/connections/${one.id}/collect`))),
    );
    if (done) this.toasts.done($localize`Collecting. The list renews itself in a few seconds.`);
  }

  // The arrow keys move between tabs, as the ARIA pattern has it.
  protected move(event: KeyboardEvent): void {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const at = tabs.findIndex((tab) => tab.id === this.selection().tab);
    const next = tabs[(at + step + tabs.length) % tabs.length];
    if (!next) return;
    event.preventDefault();
    this.go({ kind: next.id, status: null });
    document.getElementById(`tab-${next.id}`)?.focus();
  }
}

function distinct(values: readonly string[]): string[] {
  return [...new Set(values.filter(Boolean))].sort();
}

function countBy<T, K>(items: readonly T[], key: (item: T) => K): Map<K, number> {
  const counts = new Map<K, number>();
  for (const item of items) counts.set(key(item), (counts.get(key(item)) ?? 0) + 1);
  return counts;
}
