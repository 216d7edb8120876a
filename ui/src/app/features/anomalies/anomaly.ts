import { Tone } from '@core/page/badge';

/** What was noticed. */
export type AnomalyKind =
  | 'brute_force'
  | 'unusual_time'
  | 'new_address'
  | 'privilege_escalation'
  | 'bulk_read'
  | 'failure_spike';

/** What people said about a finding. */
export type AnomalyState = 'open' | 'acknowledged' | 'false_positive';

/** One finding, with the records that it comes from. */
export interface Anomaly {
  id: string;
  kind: AnomalyKind;
  severity: string;
  state: AnomalyState;
  subject: { kind: string; id: string; name: string };
  summary: string;
  /** Sequence numbers of records, the newest of them. */
  evidence: number[] | null;
  /** Whose numbers the evidence has: sign-ins are recorded in the provider's chain. */
  evidence_chain?: 'own' | 'provider';
  first_at: string;
  last_at: string;
  count: number;
  /** Records that came after it was called a false positive. */
  suppressed?: number;
  decided_by?: { id: string; name: string } | null;
  decided_at?: string | null;
  note?: string;
}

/** A rule of the tenant. */
export interface AnomalyRule {
  kind: AnomalyKind;
  enabled: boolean;
  parameters: Record<string, number>;
}

/** What can be decided about a finding; the name is the end of its address. */
export type Decision = 'acknowledge' | 'false-positive' | 'reopen';

/** All kinds, in the order in which they are offered. */
export const kinds: readonly AnomalyKind[] = [
  'brute_force', 'unusual_time', 'new_address', 'privilege_escalation', 'bulk_read', 'failure_spike',
];

/** A kind in words. */
export function kindWord(kind: string): string {
  switch (kind) {
    case 'brute_force':
      return $localize`Guessed passwords`;
    case 'unusual_time':
      return $localize`Unusual time`;
    case 'new_address':
      return $localize`New address`;
    case 'privilege_escalation':
      return $localize`More rights`;
    case 'bulk_read':
      return $localize`Reads in bulk`;
    case 'failure_spike':
      return $localize`Many failures`;
    default:
      return kind;
  }
}

/** What a rule looks for. */
export function kindText(kind: string): string {
  switch (kind) {
    case 'brute_force':
      return $localize`Many refused sign-ins of one account, or from one address, within a short time.`;
    case 'unusual_time':
      return $localize`Somebody signs in at an hour at which they hardly ever do.`;
    case 'new_address':
      return $localize`Somebody signs in from a network that they never used.`;
    case 'privilege_escalation':
      return $localize`Somebody gives rights to themselves, makes somebody else powerful, or opens break-glass.`;
    case 'bulk_read':
      return $localize`Somebody reads or exports far more than usual within a short time.`;
    case 'failure_spike':
      return $localize`Refusals and failures rise far above what is normal here.`;
    default:
      return '';
  }
}

/** A parameter of a rule in words; the name itself when it is not known. */
export function parameterWord(name: string): string {
  switch (name) {
    case 'account_failures':
      return $localize`Refused sign-ins of one account`;
    case 'address_failures':
      return $localize`Refused sign-ins from one address`;
    case 'window_minutes':
      return $localize`Within (minutes)`;
    case 'learn_days':
      return $localize`Learn first for (days)`;
    case 'learn_hours':
      return $localize`Learn first for (hours)`;
    case 'min_sign_ins':
      return $localize`And for at least (sign-ins)`;
    case 'rare_percent':
      return $localize`Unusual below (% of sign-ins)`;
    case 'reads':
      return $localize`Reads of one person`;
    case 'exports':
      return $localize`Exports of one person`;
    case 'factor':
      return $localize`Times the usual`;
    case 'min_failures':
      return $localize`And at least (failures an hour)`;
    default:
      return name.replaceAll('_', ' ');
  }
}

/** A state in words. */
export function stateWord(state: string): string {
  switch (state) {
    case 'open':
      return $localize`open`;
    case 'acknowledged':
      return $localize`acknowledged`;
    case 'false_positive':
      return $localize`false positive`;
    default:
      return state;
  }
}

/** The colour of a state. */
export function stateTone(state: string): Tone {
  return state === 'open' ? 'warn' : 'plain';
}

/** The colour of a severity. */
export function severityTone(severity: string): Tone {
  if (severity === 'critical' || severity === 'high') return 'bad';
  return severity === 'medium' ? 'warn' : 'plain';
}

/** What may be decided in a state. */
export function decisionsFor(state: string): Decision[] {
  return state === 'open' ? ['acknowledge', 'false-positive'] : ['reopen'];
}

/** The page that shows the subject; null when there is none. */
export function subjectLink(subject: Anomaly['subject'], can: (permission: string) => boolean): string[] | null {
  if (!subject.id) return null;
  if (subject.kind === 'service_account' && can('identity:service-account:read')) return ['/users/service-accounts', subject.id];
  if (subject.kind === 'role' && can('permission:role:read')) return ['/roles', subject.id];
  return null;
}
