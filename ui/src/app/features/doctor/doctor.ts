import type { IconName } from '@core/icon/icons';
import type { Tone } from '@core/page/badge';

/** What the doctor found. */
export interface Report {
  checked_at: string;
  items: Finding[];
}

/** What one check found, and what to do about it. */
export interface Finding {
  check: string;
  group: string;
  status: string;
  summary: string;
  advice: string;
  measured: Record<string, unknown> | null;
}

/** Findings of one group, the worst first. */
export interface Group {
  name: string;
  word: string;
  items: Finding[];
  worst: string;
}

const severity = ['failed', 'warning', 'unknown', 'ok'];
const order = ['machine', 'network', 'data', 'service', 'proof', 'outside'];

/** The findings by group, in the order in which one looks; unknown groups come last. */
export function groupsOf(findings: readonly Finding[]): Group[] {
  const names = [...new Set([...order, ...findings.map((one) => one.group)])];
  return names
    .map((name) => {
      const items = findings.filter((one) => one.group === name).sort((a, b) => rank(a.status) - rank(b.status));
      return { name, word: groupWord(name), items, worst: items[0]?.status ?? 'ok' };
    })
    .filter((group) => group.items.length > 0);
}

/** How many findings have a status. */
export function countOf(findings: readonly Finding[], status: string): number {
  return findings.filter((one) => one.status === status).length;
}

/** The colour of a status. */
export function statusTone(status: string): Tone {
  switch (status) {
    case 'ok':
      return 'good';
    case 'warning':
      return 'warn';
    case 'failed':
      return 'bad';
    default:
      return 'plain';
  }
}

/** A status in words. */
export function statusWord(status: string): string {
  switch (status) {
    case 'ok':
      return $localize`fine`;
    case 'warning':
      return $localize`look at it`;
    case 'failed':
      return $localize`do something`;
    case 'unknown':
      return $localize`not known`;
    default:
      return status;
  }
}

/** The icon of a status. */
export function statusIcon(status: string): IconName {
  switch (status) {
    case 'ok':
      return 'success';
    case 'warning':
      return 'warning';
    case 'failed':
      return 'error';
    default:
      return 'info';
  }
}

/** What was measured, one line each: `free bytes: 1,234`. */
export function measuredLines(measured: Finding['measured']): { name: string; value: string }[] {
  return Object.entries(measured ?? {}).map(([name, value]) => ({ name: name.replaceAll('_', ' '), value: plain(value) }));
}

function plain(value: unknown): string {
  if (typeof value === 'number') return value.toLocaleString();
  if (Array.isArray(value)) return value.map(plain).join(', ') || '–';
  if (typeof value === 'object' && value !== null) return JSON.stringify(value);
  return value === '' || value === null || value === undefined ? '–' : String(value as string | boolean);
}

function rank(status: string): number {
  const at = severity.indexOf(status);
  return at < 0 ? severity.length : at;
}

function groupWord(name: string): string {
  switch (name) {
    case 'machine':
      return $localize`The machine`;
    case 'network':
      return $localize`Network and certificate`;
    case 'data':
      return $localize`Data and backups`;
    case 'service':
      return $localize`Services inside`;
    case 'proof':
      return $localize`The audit trail`;
    case 'outside':
      return $localize`Outside`;
    default:
      return name;
  }
}
