import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Rule } from './provider';
import { fromDraft, ruleProblem, toDraft } from './rule';

const rules: Rule[] = [
  { claim: 'groups', value: 'admins', role_id: 'r1' },
  { claim: 'realm_access.roles', pattern: 'nimbus-*', group_id: 'g1' },
];

test('a rule goes into the editor and back', () => {
  for (const rule of rules) assert.deepEqual(fromDraft(toDraft(rule)), rule);
});

test('exactly one of value and pattern, of role and group is sent', () => {
  const sent = fromDraft({ claim: ' groups ', match: 'pattern', text: 'a*', gives: 'role:r' });
  assert.deepEqual(sent, { claim: 'groups', pattern: 'a*', role_id: 'r' });
});

test('what is missing is told in order', () => {
  const whole = { claim: 'groups', match: 'value', text: 'x', gives: 'role:1' } as const;
  assert.equal(ruleProblem(whole), '');
  const said = [{ ...whole, claim: ' ' }, { ...whole, text: '' }, { ...whole, gives: '' }].map(ruleProblem);
  assert.equal(new Set(said).size, 3);
  assert.ok(said.every(Boolean));
});
