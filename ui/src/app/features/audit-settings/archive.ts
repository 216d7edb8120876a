import { Tone } from '@core/page/badge';

/** Where copies of records go. */
export interface ArchiveTarget {
  kind: ArchiveKind;
  path?: string;
  endpoint?: string;
  bucket?: string;
  region?: string;
  prefix?: string;
  access_key?: string;
  ca_pem?: string;
  has_secret?: boolean;
  /** When the archive was last written, since when it fails, and why. */
  ran_at?: string | null;
  failed_at?: string | null;
  error?: string;
  /** Records whose time is over and that are not deleted before the sinks that are behind have them. */
  waiting?: number;
  waits_for?: string[];
}

/** The kinds of places. */
export type ArchiveKind = 'none' | 'directory' | 's3';

/** A range of records in the archive. */
export interface Segment {
  id: string;
  first: number;
  last: number;
  records: number;
  bytes: number;
  sha256: string;
  key: string;
  place?: string;
  state: string;
  /** Why it did not hold when it was last read back. */
  error?: string;
  /** How many of its records are in the archive only. */
  pruned?: number;
  created_at: string;
  verified_at?: string | null;
  pruned_at?: string | null;
}

/** What the form of the target holds. */
export interface TargetForm {
  path: string;
  endpoint: string;
  bucket: string;
  region: string;
  prefix: string;
  access_key: string;
  secret: string;
  ca_pem: string;
}

/** The body of a change: only what belongs to the kind, and a secret only when one was entered. */
export function targetBody(kind: ArchiveKind, form: TargetForm): object {
  const text = (name: keyof TargetForm) => form[name].trim();
  if (kind === 'none') return { kind };
  if (kind === 'directory') return { kind, ...(text('path') ? { path: text('path') } : {}) };
  const secret = form.secret === '' ? {} : { secret: form.secret };
  const { endpoint, bucket, region, prefix, access_key, ca_pem } = form;
  const plain = Object.fromEntries(
    Object.entries({ endpoint, bucket, region, prefix, access_key, ca_pem }).map(([name, value]) => [name, value.trim()]),
  );
  return { kind, ...plain, ...secret };
}

/** A state in words. */
export function segmentWord(state: string): string {
  switch (state) {
    case 'written':
      return $localize`written`;
    case 'verified':
      return $localize`verified`;
    case 'damaged':
      return $localize`damaged`;
    case 'pruned':
      return $localize`verified, pruned here`;
    default:
      return state;
  }
}

/** The colour of a state. */
export function segmentTone(state: string): Tone {
  if (state === 'damaged') return 'bad';
  return state === 'verified' || state === 'pruned' ? 'good' : 'busy';
}

/** Where a segment is downloaded from. */
export function segmentAddress(id: string): string {
  return `/v1/audit/archive/segments/${encodeURIComponent(id)}/content`;
}
