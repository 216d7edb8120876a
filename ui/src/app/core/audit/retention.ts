/** How long records are kept. A number of days is null for ever. */
export interface Retention {
  default_days: number | null;
  rules: RetentionRule[];
  archive_after_days: number;
  prune_enabled: boolean;
}

/** What is kept differently: an event, or all below a prefix. */
export interface RetentionRule {
  event: string;
  days: number | null;
}

/** What cannot be saved, by place; empty texts are fine. */
export interface RetentionFaults {
  default_days: string;
  archive_after_days: string;
  rules: { event: string; days: string }[];
}

const longest = 36_500;

/** Looks through a draft; `faultless` says whether all is well. */
export function faultsOf(draft: Retention): RetentionFaults {
  const seen = new Set<string>();
  return {
    default_days: days(draft.default_days),
    archive_after_days: days(draft.archive_after_days),
    rules: draft.rules.map((rule) => {
      const twice = seen.has(rule.event);
      seen.add(rule.event);
      return { event: event(rule.event, twice), days: days(rule.days) };
    }),
  };
}

/** Whether nothing is wrong. */
export function faultless(faults: RetentionFaults): boolean {
  return !faults.default_days && !faults.archive_after_days && faults.rules.every((one) => !one.event && !one.days);
}

/** A number of days as a person says it: "for ever", "90 days", "2,557 days (about 7 years)". */
export function keptFor(count: number | null): string {
  if (count === null) return $localize`for ever`;
  if (!Number.isFinite(count)) return '…';
  if (count === 1) return $localize`one day`;
  if (count < 365) return $localize`${count} days`;
  const years = Math.round((count / 365.25) * 10) / 10;
  return $localize`${count.toLocaleString()} days (about ${years} years)`;
}

/** Events that would be due for pruning before they can be in the archive, with the days after which they then go. */
export function dueTooEarly(retention: Retention): string[] {
  const all = [{ event: '', days: retention.default_days }, ...retention.rules];
  return all.filter((one) => one.days !== null && one.days < retention.archive_after_days).map((one) => one.event);
}

/** Whether any record has an end. */
export function anythingEnds(retention: Retention): boolean {
  return retention.default_days !== null || retention.rules.some((rule) => rule.days !== null);
}

/** A text from a number field as whole days; NaN when it is none. */
export function wholeDays(text: string): number {
  return /^\s*\d+\s*$/.test(text) ? Number(text) : Number.NaN;
}

function days(count: number | null): string {
  if (count === null || (Number.isInteger(count) && count >= 1 && count <= longest)) return '';
  return $localize`Between 1 and ${longest} days.`;
}

function event(name: string, twice: boolean): string {
  if (!name) return $localize`Choose an event or the beginning of some.`;
  if (!/^[a-z0-9_-]+(\.[a-z0-9_-]+)*$/.test(name)) return $localize`Words with dots, such as identity.session.`;
  return twice ? $localize`There is a rule for it already.` : '';
}
