import { Tone } from '@core/page/badge';

/** One record of the audit chain. */
export interface AuditRecord {
  sequence: number;
  id: string;
  time: string;
  event: string;
  category: string;
  priority: string;
  outcome: string;
  actor: { id: string; name: string; kind: string };
  /** For whom the actor acted; a claim is what nothing proves. */
  on_behalf_of?: { id: string; name: string; kind: string; claimed: boolean } | null;
  target: { kind: string; id: string; name?: string } | null;
  target_name?: string;
  address: string;
  request_id: string;
  trace_id?: string;
  reason: string;
  changes: { before: unknown; after: unknown } | null;
  details: Record<string, unknown> | null;
  hash: string;
  previous_hash: string;
  /** Null while the sealer has not yet put the record into the chain. */
  sealed_at: string | null;
  /** The stored text, exactly; only when one record is read. */
  body?: string | null;
  leaf?: string;
  link?: string;
  /** Only the leaf is left: the record was archived and taken away. */
  pruned?: boolean;
}

/** One fault of a chain. */
export interface ChainBreak {
  sequence: number;
  kind: string;
  detail: string;
}

/** A verification of the chain, running or over; `breaks` holds every fault, not only the first. */
export interface Verification {
  id?: string;
  state?: 'running' | 'done' | 'cancelled' | 'failed';
  ok?: boolean;
  checked?: number;
  total?: number;
  first?: number;
  last?: number;
  head?: string;
  root?: string;
  breaks?: ChainBreak[] | null;
  checkpoints?: { checked: number; failed: number };
  duration_ms?: number;
}

/** The proof that a record is in the tree of a checkpoint. */
export interface InclusionProof {
  leaf: string;
  index: number;
  size: number;
  hashes: string[];
  /** The signed note. */
  checkpoint: string;
}

/** A key that signs or signed checkpoints. */
export interface CheckpointKey {
  name: string;
  vkey: string;
  algorithm: string;
  kind: 'hsm' | 'file';
  created_at: string;
  retired_at: string | null;
}

/** A piece of the archive. */
export interface ArchiveSegment {
  id: string;
  first: number;
  last: number;
  key: string;
  sha256: string;
  state: 'written' | 'verified' | 'pruned';
}

/** One event of the published catalogue. */
export interface EventType {
  code: string;
  category: string;
  priority: string;
  description: string;
}

/** How many records have a value. */
export interface FacetValue {
  value: string;
  count: number;
}

/** How many records there were in an hour or a day. */
export interface Bucket {
  from: string;
  count: number;
  denied: number;
  failed: number;
  critical: number;
}

/** A filter that somebody kept under a name. */
export interface SavedQuery {
  id: string;
  name: string;
  filter: Record<string, unknown>;
  shared: boolean;
  owner: { id: string; name: string };
  created_at: string;
}

/** A file with records that match a filter. */
export interface AuditExport {
  id: string;
  state: 'running' | 'done' | 'failed' | 'cancelled';
  format: 'jsonl' | 'csv';
  filter: Record<string, unknown> | null;
  records: number;
  /** The last record that was looked at, of total. */
  position: number;
  total: number;
  bytes: number;
  sha256: string;
  created_by: string;
  creator: string;
  created_at: string;
  expires_at: string | null;
  error: string;
}

/** What somebody did, in numbers and as a list. */
export interface UserActivity {
  user: { id: string; name: string };
  first_seen: string | null;
  last_seen: string | null;
  events: { event: string; count: number }[];
  addresses: { address: string; count: number; last: string }[];
  /** Records in each hour of the day. */
  hours: number[];
  items: AuditRecord[];
  next: string | null;
}

/** The colour of an outcome. */
export function outcomeTone(outcome: string): Tone {
  if (outcome === 'success') return 'good';
  return outcome === 'denied' ? 'warn' : outcome === 'failure' ? 'bad' : 'plain';
}

/** The colour of a priority. */
export function priorityTone(priority: string): Tone {
  if (priority === 'critical' || priority === 'error') return 'bad';
  return priority === 'warning' ? 'warn' : 'plain';
}

/** Whether a priority stands out from what happens every day. */
export function isUrgent(priority: string): boolean {
  return priorityTone(priority) !== 'plain';
}

/** Who acted, and for whom, in a few words. */
export function whoActed(record: AuditRecord): string {
  const other = record.on_behalf_of;
  if (!other) return record.actor.name;
  const actor = record.actor.name;
  return other.claimed ? $localize`${actor}, claimed for ${other.name}` : $localize`${actor} for ${other.name}`;
}

/** How the target of a record is called. */
export function targetName(record: AuditRecord): string {
  return record.target?.name || record.target_name || record.target?.id || '';
}
