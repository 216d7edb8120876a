/** How well a tenant keeps to what is asked of it, in a period. */
export interface Dashboard {
  from: string;
  to: string;
  time_zone?: string;
  privileged: Holder[] | null;
  failed_sign_ins: { total: number; by_day: DayCount[] | null };
  changes_without_approval: { count: number; items: UnapprovedChange[] | null };
  break_glass: Emergency[] | null;
  coverage: Coverage;
  open_anomalies?: { total: number; critical: number };
  score: Check[] | null;
}

/** Somebody who may do what only few should. */
export interface Holder {
  kind: string;
  id: string;
  name: string;
  permissions: string[] | null;
  via: string;
  conditional?: boolean;
}

/** A number of one day in the tenant's time zone. */
export interface DayCount {
  day: string;
  count: number;
}

/** A change that no second person approved. */
export interface UnapprovedChange {
  sequence: number;
  time: string;
  actor: string;
  kind: string;
  id: string;
  name: string;
  operation: string;
  why: string;
}

/** One use of break-glass, or the attempt. */
export interface Emergency {
  id: string;
  user: string;
  requested_by: string;
  reason: string;
  minutes: number;
  status: string;
  approvers: string[] | null;
  requested_at: string;
  opened_at: string | null;
  ended_at: string | null;
  actions: number;
  evidence: number[] | null;
}

/** How much of the chain is signed, published and verified. */
export interface Coverage {
  records: number;
  checkpointed: number;
  published: number;
  signed_at?: string | null;
  published_at?: string | null;
  oldest_unpublished?: string | null;
  key_kind?: string;
  verified_at: string | null;
  ok: boolean | null;
}

/** One item of the score. */
export interface Check {
  check: string;
  ok: boolean;
  detail: string;
}

/** A first and a last day, both counted, as the address has them: `2026-11-26`; empty for the last thirty days. */
export interface Days {
  from: string;
  to: string;
}

const day = 86_400_000;

/** The query of a period: from the first midnight to the one after the last day, in the browser's time zone. */
export function periodQuery(days: Days): { from: string; to: string } {
  return { from: midnight(days.from, 0), to: midnight(days.to, 1) };
}

/** The days of "the last n days", today among them. */
export function lastDays(count: number, today: Date): Days {
  const first = new Date(today.getFullYear(), today.getMonth(), today.getDate() - count + 1);
  return { from: dateText(first), to: dateText(today) };
}

/** How many days a period has, null when it is none. */
export function lengthOf(days: Days): number | null {
  const [from, to] = [Date.parse(`${days.from}T00:00Z`), Date.parse(`${days.to}T00:00Z`)];
  const length = Math.round((to - from) / day) + 1;
  return Number.isFinite(length) && length > 0 ? length : null;
}

/** One bar of a chart; the height is a part of the highest, 0 to 1. */
export interface Bar {
  day: string;
  count: number;
  height: number;
}

/** Days as bars; a day that had something is never too low to be seen. */
export function barsOf(days: readonly DayCount[]): Bar[] {
  const highest = Math.max(1, ...days.map((one) => one.count));
  return days.map((one) => ({ ...one, height: one.count === 0 ? 0 : Math.max(one.count / highest, 0.04) }));
}

/** The day with most; null when there was nothing. */
export function worstDay(days: readonly DayCount[]): DayCount | null {
  const worst = days.reduce<DayCount | null>((best, one) => (best && best.count >= one.count ? best : one), null);
  return worst && worst.count > 0 ? worst : null;
}

/** A part as whole percent that says 100 only when nothing is missing. */
export function percent(part: number, whole: number): number {
  if (whole <= 0) return 100;
  const exact = (part / whole) * 100;
  return exact >= 100 ? 100 : Math.min(99, Math.floor(exact));
}

/** A check in words; unknown ones as they are named. */
export function checkWord(check: string): string {
  switch (check) {
    case 'checkpoint_published':
      return $localize`Checkpoints are published outside`;
    case 'chain_verified':
      return $localize`The chain was verified lately`;
    case 'signing_key':
      return $localize`The signing key cannot be copied`;
    case 'no_critical_anomaly':
      return $localize`No critical anomaly is open`;
    case 'changes_approved':
      return $localize`Changes were approved by somebody else`;
    case 'no_break_glass':
      return $localize`Break-glass was not used`;
    case 'mfa_for_administrators':
      return $localize`Administrators have a second factor`;
    case 'second_person_approves':
      return $localize`A second person approves`;
    case 'passwords':
      return $localize`Passwords are long and not known`;
    case 'root_key':
      return $localize`The root key cannot be copied`;
    default:
      return check.replaceAll('_', ' ');
  }
}

/** The page where a check is put right; null when there is none. A fragment names a place on this page. */
export function fixFor(check: string, tenant: string): { link: string[] | null; fragment?: string } | null {
  switch (check) {
    case 'checkpoint_published':
    case 'signing_key':
      return { link: ['/audit-settings/proof'] };
    case 'chain_verified':
      return { link: ['/audit/verify'] };
    case 'no_critical_anomaly':
      return { link: ['/anomalies'] };
    case 'changes_approved':
      return { link: null, fragment: 'unapproved' };
    case 'no_break_glass':
      return { link: null, fragment: 'break-glass' };
    case 'mfa_for_administrators':
    case 'second_person_approves':
    case 'passwords':
      return tenant ? { link: ['/tenants', tenant, 'settings'] } : null;
    case 'root_key':
      return { link: ['/health'] };
    default:
      return null;
  }
}

/** A report to download. */
export interface ReportKind {
  kind: string;
  name: string;
  text: string;
}

/** All reports, in the order of the page. */
export const reports: readonly ReportKind[] = [
  { kind: 'privileged-access', name: $localize`Privileged access`, text: $localize`Who may do what only few should, and through what.` },
  { kind: 'privileged-actions', name: $localize`Privileged actions`, text: $localize`What they did with it.` },
  { kind: 'failed-sign-ins', name: $localize`Failed sign-ins`, text: $localize`Each refused sign-in and second factor.` },
  { kind: 'changes-without-approval', name: $localize`Changes without approval`, text: $localize`What ran without a second person.` },
  { kind: 'break-glass', name: $localize`Break-glass`, text: $localize`Each use: who asked, who approved, what was done.` },
  { kind: 'proof-coverage', name: $localize`Coverage of the proof`, text: $localize`What is signed, published and verified.` },
];

/** Where a report is, for a period. */
export function reportAddress(kind: string, format: 'html' | 'csv', days: Days): string {
  const query = new URLSearchParams(Object.entries(periodQuery(days)).filter(([, value]) => value !== ''));
  const text = query.toString();
  return `/v1/audit/compliance/reports/${kind}.${format}${text ? `?${text}` : ''}`;
}

function midnight(date: string, add: number): string {
  const [year, month, dayOfMonth] = date.split('-').map(Number);
  if (!year || !month || !dayOfMonth) return '';
  return new Date(year, month - 1, dayOfMonth + add).toISOString();
}

function dateText(at: Date): string {
  const two = (value: number) => String(value).padStart(2, '0');
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
}
