/** What is hidden in records before they are stored. */
export interface Redaction {
  rules: RedactionRule[];
  /** What is always hidden. */
  builtin: RedactionRule[] | null;
}

/** One thing to hide. */
export interface RedactionRule {
  id?: string;
  name: string;
  /** A field by its name or the end of its path, or text by a pattern. */
  kind: 'field' | 'pattern';
  match: string;
  /** All events, or those below a prefix. */
  scope: string;
  enabled: boolean;
}

/** What is wrong with a rule; empty texts are fine. */
export interface RuleFaults {
  name: string;
  match: string;
  scope: string;
}

/** A rule to begin with. */
export function newRule(): RedactionRule {
  return { name: '', kind: 'field', match: '', scope: 'all', enabled: true };
}

/** Looks through one rule; the server decides about patterns, whose language differs from the browser's. */
export function faultsOf(rule: RedactionRule): RuleFaults {
  return {
    name: rule.name.trim() ? '' : $localize`Fill in this field.`,
    match: matchFault(rule),
    scope: rule.scope === 'all' || /^[a-z][a-z0-9_-]*(\.[a-z0-9_-]+)*$/.test(rule.scope) ? '' : $localize`Words with dots, or “all”.`,
  };
}

/** Whether nothing is wrong. */
export function faultless(rules: readonly RedactionRule[]): boolean {
  return rules.every((rule) => Object.values(faultsOf(rule)).every((fault) => fault === ''));
}

/** A sample as JSON when it is some, else as text; what the rules are tried on. */
export function sampleOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

/** The event that a sample names, whose scope counts then; empty when it names none. */
export function eventOf(sample: unknown): string {
  const event = typeof sample === 'object' && sample !== null ? (sample as Record<string, unknown>)['event'] : '';
  return typeof event === 'string' ? event : '';
}

/** A result as it is shown: text as it is, anything else as JSON. */
export function resultText(result: unknown): string {
  return typeof result === 'string' ? result : JSON.stringify(result, null, 2);
}

/** What to try rules on at first. */
export const sample = JSON.stringify(
  {
    event: 'identity.user.updated',
    actor: { name: 'Ada Berger' },
    address: '192.168.1.23',
    before: { phone: '+49 30 1234567' },
    after: { phone: '+49 30 7654321', iban: 'DE02120300000000202051' },
    details: { password: 'correct horse', comment: 'card 4111 1111 1111 1111' },
  },
  null,
  2,
);

function matchFault(rule: RedactionRule): string {
  if (!rule.match.trim()) return $localize`Fill in this field.`;
  const field = /^[\p{L}\p{N}_*-]+(\.[\p{L}\p{N}_*-]+)*$/u;
  return rule.kind === 'field' && !field.test(rule.match) ? $localize`A name such as email, or the end of a path such as guest.serial.` : '';
}
