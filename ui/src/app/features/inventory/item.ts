import { Tone } from '@core/page/badge';

/** What an item is. */
export type ItemKind = 'node' | 'vm' | 'container' | 'storage' | 'network' | 'pool';

/** What was collected about an item; which of these there are depends on its kind. */
export interface ItemProperties {
  vmid?: number;
  cores?: number;
  /** Share of the cores in use, 0 to 1. */
  cpu?: number;
  memory_bytes?: number;
  memory_used_bytes?: number;
  disk_bytes?: number;
  disk_used_bytes?: number;
  uptime_seconds?: number;
  tags?: string[];
  pool?: string;
  template?: boolean;
  lock?: string;
  ha_state?: string;
  type?: string;
  content?: string[];
  shared?: boolean;
  cidr?: string;
  ports?: string;
  comment?: string;
  [more: string]: unknown;
}

/** One thing on a cluster, as it was last collected. */
export interface Item {
  id: string;
  connection_id: string;
  kind: ItemKind;
  key: string;
  name: string;
  node: string;
  status: string;
  managed: boolean;
  stack_id?: string;
  properties: ItemProperties;
  collected_at: string;
  last_seen_at: string;
  stale: boolean;
}

/** What a person can do to a guest. */
export type PowerAction = 'start' | 'stop' | 'shutdown' | 'reboot' | 'suspend' | 'resume';

/** Something the cluster does that takes a while. */
export interface Task {
  id: string;
  upid: string;
  connection_id: string;
  node: string;
  type: string;
  item_id?: string;
  status: 'running' | 'ok' | 'failed';
  exit_status: string;
  started_at: string;
  ended_at?: string | null;
  actor_name: string;
}

/** Lines that a task has written; `from` says how many came before. */
export interface TaskLines {
  lines: string[] | null;
  from?: number;
}

/** Whether the item is a VM or a container. */
export function isGuest(item: Item): boolean {
  return item.kind === 'vm' || item.kind === 'container';
}

/** The colour of an item's status; an old status is never good or bad. */
export function itemTone(item: Item): Tone {
  if (item.stale) return 'plain';
  switch (item.status) {
    case 'running':
    case 'online':
    case 'available':
    case 'active':
    case 'ok':
      return 'good';
    case 'paused':
    case 'suspended':
    case 'prelaunch':
      return 'warn';
    case 'offline':
    case 'error':
    case 'io-error':
      return 'bad';
    default:
      return 'plain';
  }
}

/** The words for a kind, one of it. */
export function kindWord(kind: ItemKind): string {
  switch (kind) {
    case 'node':
      return $localize`Node`;
    case 'vm':
      return $localize`VM`;
    case 'container':
      return $localize`Container`;
    case 'storage':
      return $localize`Storage`;
    case 'network':
      return $localize`Network`;
    case 'pool':
      return $localize`Pool`;
  }
}

/** `used` of `total` as 0 to 1, or null when it is not known. */
export function share(used: number | undefined, total: number | undefined): number | null {
  return used === undefined || !total ? null : Math.min(1, used / total);
}
