import { CdkFixedSizeVirtualScroll, CdkVirtualForOf, CdkVirtualScrollViewport } from '@angular/cdk/scrolling';
import {
  ChangeDetectionStrategy,
  Component,
  Injector,
  afterNextRender,
  effect,
  inject,
  input,
  output,
  viewChild,
} from '@angular/core';
import { RouterLink } from '@angular/router';

import { formatBytes } from '@core/format/bytes';
import { Icon } from '@core/icon/icon';
import { Badge } from '@core/page/badge';
import { duration } from '@core/time/format';

import { Item, itemTone, kindWord, share } from './item';
import { SortKey } from './selection';
import { UsageBar } from './usage-bar';

/** VMs and containers; only the rows in sight are drawn, so thousands are fine. */
@Component({
  selector: 'nb-guest-table',
  imports: [
    Badge,
    CdkFixedSizeVirtualScroll,
    CdkVirtualForOf,
    CdkVirtualScrollViewport,
    Icon,
    RouterLink,
    UsageBar,
  ],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './guest-table.html',
  styleUrl: './guest-table.scss',
})
export class GuestTable {
  readonly items = input.required<readonly Item[]>();
  /** The key the list is ordered by; with a leading "-" the other way round. */
  readonly sort = input.required<string>();
  readonly sorted = output<string>();
  /** Names what is listed; when it changes, the list begins at its top again. */
  readonly listed = input('');

  protected readonly columns: readonly { key: SortKey; label: string }[] = [
    { key: 'name', label: $localize`Name` },
    { key: 'status', label: $localize`State` },
    { key: 'node', label: $localize`Node` },
    { key: 'cpu', label: $localize`CPU` },
    { key: 'memory', label: $localize`Memory` },
    { key: 'uptime', label: $localize`Up for` },
  ];
  protected readonly tone = itemTone;
  protected readonly kind = kindWord;
  protected readonly track = (_: number, item: Item) => item.id;
  private readonly viewport = viewChild.required(CdkVirtualScrollViewport);

  constructor() {
    const injector = inject(Injector);
    effect(() => {
      this.items();
      afterNextRender({ read: () => this.viewport().checkViewportSize() }, { injector });
    });
    effect(() => {
      this.listed();
      this.sort();
      this.viewport().scrollToIndex(0);
    });
  }

  /** The tags a person gave; the marks of a stack show as "managed". */
  protected tags(item: Item): string[] {
    return (item.properties.tags ?? []).filter((tag) => !/^nimbus(-[0-9a-f]{32})?$/.test(tag));
  }

  protected direction(key: SortKey): 'ascending' | 'descending' | 'none' {
    if (this.sort() === key) return 'ascending';
    return this.sort() === `-${key}` ? 'descending' : 'none';
  }

  protected turn(key: SortKey): void {
    this.sorted.emit(this.sort() === key ? `-${key}` : key);
  }

  protected cpu(item: Item): number | null {
    return item.status === 'running' ? (item.properties.cpu ?? null) : null;
  }

  protected cores(item: Item): string {
    const cores = item.properties.cores ?? 0;
    if (!cores) return '';
    if (item.status === 'running') return $localize`of ${cores}`;
    return cores === 1 ? $localize`1 core` : $localize`${cores} cores`;
  }

  protected memory(item: Item): number | null {
    const { memory_used_bytes, memory_bytes } = item.properties;
    return item.status === 'running' ? share(memory_used_bytes, memory_bytes) : null;
  }

  protected size(item: Item): string {
    const bytes = item.properties.memory_bytes;
    if (!bytes) return '';
    return item.status === 'running' ? $localize`of ${formatBytes(bytes)}` : formatBytes(bytes);
  }

  protected uptime(item: Item): string {
    const seconds = item.properties.uptime_seconds ?? 0;
    return seconds > 0 ? duration(seconds) : '–';
  }
}
