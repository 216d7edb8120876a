import { Item, isGuest, share } from './item';

/** The tabs of the inventory. */
export type Tab = 'guest' | 'node' | 'storage' | 'network' | 'pool';

/** What the list can be ordered by. */
export type SortKey = 'name' | 'status' | 'node' | 'cpu' | 'memory' | 'uptime';

/** The filters, as they stand in the address. */
export interface Selection {
  tab: Tab;
  q: string;
  type: string;
  status: string;
  node: string;
  connection: string;
  managed: boolean;
}

/** The tab an item belongs to. */
export function tabOf(item: Item): Tab {
  return isGuest(item) ? 'guest' : (item.kind as Tab);
}

/** The items that every filter but the tab lets through. */
export function filtered(items: readonly Item[], by: Selection): Item[] {
  const words = by.q.toLowerCase().split(/\s+/).filter(Boolean);
  return items.filter(
    (item) =>
      (!by.connection || item.connection_id === by.connection) &&
      (!by.node || item.node === by.node) &&
      words.every((word) => textOf(item).includes(word)),
  );
}

/** Of the filtered items those of the tab, with the filters that only guests have. */
export function selected(items: readonly Item[], by: Selection): Item[] {
  return items.filter(
    (item) =>
      tabOf(item) === by.tab &&
      (!by.status || item.status === by.status) &&
      (!by.type || item.kind === by.type) &&
      (!by.managed || item.managed),
  );
}

/** Orders in place by one key; equal ones by name. A leading "-" turns it around. */
export function ordered(items: Item[], sort: string): Item[] {
  const down = sort.startsWith('-');
  const key = (down ? sort.slice(1) : sort) as SortKey;
  const turn = down ? -1 : 1;
  return items.sort((a, b) => turn * compare(rank(a, key), rank(b, key)) || byName(a, b));
}

const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: 'base' });

function byName(a: Item, b: Item): number {
  return collator.compare(a.name, b.name) || collator.compare(a.key, b.key);
}

function compare(a: string | number, b: string | number): number {
  return typeof a === 'number' && typeof b === 'number' ? a - b : collator.compare(String(a), String(b));
}

function rank(item: Item, key: SortKey): string | number {
  const { properties } = item;
  switch (key) {
    case 'status':
      return item.status;
    case 'node':
      return item.node;
    case 'cpu':
      return item.status === 'stopped' ? -1 : (properties.cpu ?? -1);
    case 'memory':
      return share(properties.memory_used_bytes, properties.memory_bytes) ?? -1;
    case 'uptime':
      return properties.uptime_seconds ?? -1;
    default:
      return item.name;
  }
}

function textOf(item: Item): string {
  const { vmid, tags, pool } = item.properties;
  return `${item.name} ${item.key} ${vmid ?? ''} ${tags?.join(' ') ?? ''} ${pool ?? ''}`.toLowerCase();
}
