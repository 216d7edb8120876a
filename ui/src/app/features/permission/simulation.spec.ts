import assert from 'node:assert/strict';
import { test } from 'node:test';

import { SimulatedResult, isEmptyChange, roleChange, turned } from './simulation';

const result = (permission: string, before: boolean, after: boolean): SimulatedResult => {
  const decision = (allowed: boolean) => ({ allowed, permission, reason: '', decided_by: null, considered: [] });
  return { before: decision(before), after: decision(after) };
};

test('what turns is told, what is gained ahead of what is lost', () => {
  const all = [result('c', true, false), result('b', false, true), result('x', true, true), result('a', false, true)];
  assert.deepEqual(turned(all).map((one) => one.after.permission), ['a', 'b', 'c']);
});

test('a change of nothing is empty', () => {
  assert.equal(isEmptyChange({}), true);
  assert.equal(isEmptyChange({ assign: [], grants_add: [] }), true);
  assert.equal(isEmptyChange({ grants_remove: [{ subject_kind: 'user', subject_id: '1', permission: 'a:b:c', effect: 'allow' }] }), false);
});

test('a role that is not there yet is tried as if it were given, with one id throughout', () => {
  const who = { subject_kind: 'user', subject_id: 'u' } as const;
  const draft = { id: '', name: '', description: '', system: false, grants: [] };
  const made = roleChange(draft, who, false, 'new');
  assert.equal(made.role?.id, 'new');
  assert.deepEqual(made.assign, [{ ...who, role_id: 'new' }]);
  assert.equal(roleChange({ ...draft, id: 'r' }, who, false, 'new').assign, undefined);
  assert.deepEqual(roleChange({ ...draft, id: 'r' }, who, true, 'new').assign, [{ ...who, role_id: 'r' }]);
});
