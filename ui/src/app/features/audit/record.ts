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
  on_behalf_of?: { id: string; name: string } | null;
  target: { kind: string; id: string; name: string } | null;
  address: string;
  request_id: string;
  reason: string;
  changes: { before: unknown; after: unknown } | null;
  details: Record<string, unknown> | null;
  hash: string;
  previous_hash: string;
  /** Null while the sealer has not yet put the record into the chain. */
  sealed_at: string | null;
}

/** What verifying the chain found; `breaks` holds every fault, not only the first. */
export interface Verification {
  ok: boolean;
  checked: number;
  first: number;
  last: number;
  head: string;
  breaks: { sequence: number; kind: string; detail: string }[];
  duration_ms: number;
}

/** The colour of an outcome. */
export function outcomeTone(outcome: string): Tone {
  if (outcome === 'success') return 'good';
  return outcome === 'denied' ? 'warn' : outcome === 'failure' ? 'bad' : 'plain';
}
