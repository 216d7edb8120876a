import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Considered, Decision, decides, inOrder } from './decision';

const grant = (permission: string, more: Partial<Considered> = {}): Considered => ({
  permission, effect: 'allow', role: 'Operator', via: 'role Operator', specificity: 1, matched: true, ...more,
});

function decision(...considered: Considered[]): Decision {
  return { allowed: true, permission: 'a:b:c', reason: '', decided_by: considered[0] ?? null, considered };
}

test('the deciding grant is told apart from the same one that came another way', () => {
  const given = decision(grant('a:b:c'), grant('a:b:c', { via: 'role Operator through group Night' }));
  assert.deepEqual(given.considered?.map((one) => decides(given, one)), [true, false]);
});

test('nothing decides when no grant matched', () => {
  assert.equal(decides({ ...decision(), decided_by: null }, grant('a:b:c')), false);
  assert.deepEqual(inOrder({ ...decision(), considered: null }), []);
});

test('the deciding grant stands first, then what holds, the specific ones ahead', () => {
  const by = grant('a:*:*', { effect: 'deny', hard: true, specificity: 24 });
  const all = [grant('x:*:*', { matched: false, specificity: 40 }), grant('a:b:*', { specificity: 28 }), grant('a:b:c', { specificity: 30 }), by];
  const order = inOrder({ ...decision(...all), decided_by: by }).map((one) => one.permission);
  assert.deepEqual(order, ['a:*:*', 'a:b:c', 'a:b:*', 'x:*:*']);
});
