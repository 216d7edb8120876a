/** What is taken out of records before they are stored. */
export interface Redaction {
  rules: RedactionRule[];
  /** What is always taken out. */
  builtin: RedactionRule[] | null;
}

/** One thing to take out. */
export interface RedactionRule {
  id?: string;
  name: string;
  /** A field by its name, or text by a pattern. */
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
    scope: rule.scope === 'all' || /^[a-z0-9-]+(\.[a-z0-9-]+)*$/.test(rule.scope) ? '' : $localize`Words with dots, or “all”.`,
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
  return rule.kind === 'field' && /\s/.test(rule.match.trim()) ? $localize`The name of a field, without spaces.` : '';
}
