/** A backup that a recovery kit opens. */
export interface Found {
  id: string;
  /** Name of the appliance. */
  name: string;
  kind: string;
  version: string;
  created_at: string;
  /** What the databases held then is what comes back. */
  moment: string;
  bytes: number;
  unpacked: number;
  /** Why this release cannot restore it. */
  refused?: string;
  /** The last moment to which the log brings it. */
  latest: string;
}

/** What lies at a place for a key. */
export interface Inspection {
  backups: Found[] | null;
}

/** How far a restore is. */
export interface Restoring {
  state: 'idle' | 'running' | 'done' | 'failed';
  stage: string;
  percent: number;
  error?: string;
  proof?: { chains: number; records: number; tenants: number; people: number; moment: string } | null;
}

/** To which moment one goes: that of the backup, as far as the log goes, or one of one's own. */
export type Moment = 'backup' | 'latest' | 'own';

/** Whether the log brings a backup further than it goes by itself. */
export function goesFurther(found: Found): boolean {
  return Date.parse(found.latest) > Date.parse(found.moment);
}

/** What is wrong with a moment of one's own, as the field of the browser gives it; empty when it can be reached. */
export function momentFault(found: Found, local: string): string {
  const at = new Date(local).getTime();
  if (!local || Number.isNaN(at)) return $localize`Fill in this field.`;
  if (at < Date.parse(found.moment)) return $localize`The backup begins later. Choose an older backup, or a later moment.`;
  if (at > Date.parse(found.latest)) return $localize`The log does not go so far.`;
  return '';
}

/** The part of the request that says to which moment to go. */
export function momentBody(moment: Moment, local: string): { until?: string; latest?: boolean } {
  if (moment === 'latest') return { latest: true };
  return moment === 'own' ? { until: new Date(local).toISOString() } : {};
}
