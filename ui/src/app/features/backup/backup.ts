import type { BackupTarget } from '@core/backup/target';
import type { Tone } from '@core/page/badge';

/** One backup of the appliance. */
export interface Backup {
  id: string;
  kind: string;
  state: string;
  started_at: string;
  finished_at?: string | null;
  /** Size of the encrypted file. */
  bytes: number;
  target: string;
  includes: string[] | null;
  wal_from?: string;
  wal_to?: string;
  verified_at?: string | null;
  verify_error?: string;
  error?: string;
  /** Somebody stopped it: it ends in some seconds. */
  stopping?: boolean;
  progress?: { stage: string; percent: number } | null;
  by?: string;
}

/** What an administrator decides about backups. */
export interface BackupSettings {
  target: BackupTarget;
  schedule: { enabled: boolean; at: string; weekday?: number | null };
  keep: { daily: number; weekly: number; monthly: number };
  wal: { enabled: boolean };
  recipients: string[] | null;
  alarm_after_hours: number;
  verify?: boolean;
}

/** How the backups are as a whole, in the words and the colour of the card above them. */
export interface Standing {
  tone: Tone;
  state: 'none-chosen' | 'none-made' | 'late' | 'unproven' | 'well';
  newest: Backup | null;
  proven: Backup | null;
}

const hour = 3_600_000;

/** Judges the list, the newest first, at a moment. */
export function standing(backups: readonly Backup[], settings: BackupSettings, now: number): Standing {
  const made = backups.filter((one) => isMade(one));
  const newest = made[0] ?? null;
  const proven = made.find((one) => one.verified_at && !one.verify_error) ?? null;
  const judged = (tone: Tone, state: Standing['state']): Standing => ({ tone, state, newest, proven });
  if (settings.target.kind === 'none') return judged('bad', 'none-chosen');
  if (!newest) return judged('warn', 'none-made');
  if (now - Date.parse(newest.started_at) > settings.alarm_after_hours * hour) return judged('bad', 'late');
  return proven ? judged('good', 'well') : judged('warn', 'unproven');
}

/** The command that restores from where backups are kept. */
export function restoreCommand({ kind, path, endpoint, bucket, prefix, user, host, port, host_key, access_key }: BackupTarget): string {
  const from = {
    none: '/mnt/backups',
    directory: path ?? '',
    s3: `s3://${[endpoint, bucket, prefix].filter(Boolean).join('/')}`,
    sftp: `sftp://${user ?? ''}@${host ?? ''}${port ? `:${port}` : ''}/${(path ?? '').replace(/^\//, '')}`,
  }[kind];
  const rest = kind === 's3' ? ` --access-key ${access_key ?? ''} --secret-file secret` : kind === 'sftp' ? ` --host-key '${host_key ?? ''}' --secret-file secret` : '';
  return `nimbus restore --from ${/\s/.test(from) ? `'${from}'` : from} --kit nimbus-recovery-kit.txt${rest}`;
}

/** Whether its file lies at the target. */
export function isMade(backup: Backup): boolean {
  return backup.state === 'done' || (backup.state === 'verifying' && Boolean(backup.finished_at));
}

/** Whether something works on it. */
export function isOpen(backup: Backup): boolean {
  return backup.state === 'running' || backup.state === 'verifying';
}

/** Why it was made, in words. */
export function kindWord(kind: string): string {
  switch (kind) {
    case 'scheduled':
      return $localize`by schedule`;
    case 'manual':
      return $localize`by hand`;
    case 'before_upgrade':
      return $localize`before an upgrade`;
    default:
      return kind;
  }
}

/** Its state in words. */
export function stateWord(state: string): string {
  switch (state) {
    case 'running':
      return $localize`being made`;
    case 'verifying':
      return $localize`being checked`;
    case 'done':
      return $localize`done`;
    case 'failed':
      return $localize`failed`;
    case 'pruned':
      return $localize`deleted`;
    default:
      return state;
  }
}

/** The colour of a state. */
export function stateTone(state: string): Tone {
  switch (state) {
    case 'running':
    case 'verifying':
      return 'busy';
    case 'done':
      return 'good';
    case 'failed':
      return 'bad';
    default:
      return 'plain';
  }
}

/** Texts with one recipient a line, as a list; what is empty is left out. */
export function recipientsOf(text: string): string[] {
  return text
    .split(/[\s,]+/)
    .map((one) => one.trim())
    .filter(Boolean);
}

/** Recipients that cannot be ones. */
export function badRecipients(text: string): string[] {
  return recipientsOf(text).filter((one) => !/^age1[0-9a-z]{58}$/.test(one));
}
