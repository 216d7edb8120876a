import { ChangeDetectionStrategy, Component, input } from '@angular/core';
import { RouterLink } from '@angular/router';

import { formatBytes } from '@core/format/bytes';
import { Badge } from '@core/page/badge';
import { duration } from '@core/time/format';

import { Item, itemTone, share } from './item';
import { Tab } from './selection';
import { UsageBar } from './usage-bar';

/** Nodes, storages, networks or pools, with the columns that each kind has. */
@Component({
  selector: 'nb-item-table',
  imports: [Badge, RouterLink, UsageBar],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './item-table.html',
  styles: `
    .stale {
      color: var(--ink-faint);
    }
    a {
      color: var(--ink);
      overflow-wrap: anywhere;
    }
  `,
})
export class ItemTable {
  readonly tab = input.required<Tab>();
  readonly items = input.required<readonly Item[]>();
  /** How many guests there are per node and per pool. */
  readonly guests = input.required<ReadonlyMap<string, number>>();

  protected readonly tone = itemTone;

  protected memory(item: Item): number | null {
    return share(item.properties.memory_used_bytes, item.properties.memory_bytes);
  }

  protected disk(item: Item): number | null {
    return share(item.properties.disk_used_bytes, item.properties.disk_bytes);
  }

  protected of(bytes: number | undefined): string {
    return bytes ? $localize`of ${formatBytes(bytes)}` : '';
  }

  protected cores(item: Item): string {
    return item.properties.cores ? $localize`of ${item.properties.cores}` : '';
  }

  protected uptime(item: Item): string {
    const seconds = item.properties.uptime_seconds ?? 0;
    return seconds > 0 ? duration(seconds) : '–';
  }
}
