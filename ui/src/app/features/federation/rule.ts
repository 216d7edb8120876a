import { Rule } from './provider';

/** A rule as it is edited: one field for the value, one for what is given. */
export interface RuleDraft {
  claim: string;
  match: 'value' | 'pattern';
  text: string;
  /** `role:<id>` or `group:<id>`; empty while nothing is chosen. */
  gives: string;
}

/** A rule as it is edited. */
export function toDraft(rule: Rule): RuleDraft {
  const match = rule.pattern ? 'pattern' : 'value';
  const gives = rule.role_id ? `role:${rule.role_id}` : rule.group_id ? `group:${rule.group_id}` : '';
  return { claim: rule.claim, match, text: rule.pattern ?? rule.value ?? '', gives };
}

/** A rule as it is sent. */
export function fromDraft({ claim, match, text, gives }: RuleDraft): Rule {
  const [kind, id = ''] = gives.split(':');
  return {
    claim: claim.trim(),
    ...(match === 'value' ? { value: text } : { pattern: text }),
    ...(kind === 'role' ? { role_id: id } : { group_id: id }),
  };
}

/** What is wrong with a rule, in a sentence; empty when it can be sent. */
export function ruleProblem(draft: RuleDraft): string {
  if (!draft.claim.trim()) return $localize`Name the claim.`;
  if (!draft.text) return $localize`Say which value it has.`;
  return draft.gives ? '' : $localize`Choose what it gives.`;
}
