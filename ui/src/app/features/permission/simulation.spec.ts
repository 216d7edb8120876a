import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Api } from '@core/api/api';

import { SimulatedQuestion, SimulatedResult, isEmptyChange, roleChange, simulate, turned } from './simulation';

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
  assert.equal(isEmptyChange({ grants_remove: ['1'] }), false);
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

test('many questions are asked in several requests, and the answers keep their order', async () => {
  const asked: number[] = [];
  const api = {
    post: (_path: string, body: { questions: SimulatedQuestion[] }) => {
      asked.push(body.questions.length);
      return Promise.resolve({ results: body.questions.map((one) => result(one.permission, false, true)) });
    },
  } as unknown as Api;
  const questions = Array.from({ length: 230 }, (_, at) => ({ subject_kind: 'user', subject_id: 'u', permission: `a:b:c${at}` }) as const);
  const results = await simulate(api, {}, questions);
  assert.deepEqual(asked, [100, 100, 30]);
  assert.deepEqual(results.map((one) => one.after.permission), questions.map((one) => one.permission));
});
