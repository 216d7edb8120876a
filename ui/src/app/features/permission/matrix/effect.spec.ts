import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Grant } from '@core/permission/grant';

import { Saying, changes, effectOf, write, written } from './effect';
import { contains, specificity } from './pattern';

const allow = (permission: string, more: Partial<Grant> = {}): Grant => ({ permission, effect: 'allow', ...more });
const deny = (permission: string, more: Partial<Grant> = {}): Grant => ({ permission, effect: 'deny', ...more });

const coverings: [outer: string, inner: string, want: boolean][] = [
  ['*:*:*', 'a:b:c', true],
  ['a:*:*', 'a:b:*', true],
  ['a:b:*', 'a:*:*', false],
  ['a:b:c', 'a:b:c:d', true],
  ['a:b:c:d', 'a:b:c', false],
  ['a:b:c:*', 'a:b:c:d', true],
  ['a:b:c:*', 'a:b:c', false],
  ['*:b:*', 'a:b:c', true],
  ['*:b:*', 'a:x:c', false],
];
for (const [outer, inner, want] of coverings) {
  test(`${outer} ${want ? 'contains' : 'does not contain'} ${inner}`, () => assert.equal(contains(outer, inner), want));
}

test('more literal parts are more specific, with equally many the earlier ones', () => {
  const order = ['*:*:*', '*:*:c', '*:b:*', 'a:*:*', '*:b:c', 'a:*:c', 'a:b:*', 'a:b:c', 'a:b:c:d'];
  assert.deepEqual([...order].sort((x, y) => specificity(x) - specificity(y)), order);
});

const effects: [name: string, grants: Grant[], asked: string, want: Saying][] = [
  ['nothing said is none', [], 'a:b:c', 'none'],
  ['a wildcard reaches down', [allow('a:*:*')], 'a:b:c', 'allow'],
  ['a wildcard reaches narrower wildcards', [allow('*:*:read')], 'a:*:read', 'allow'],
  ['but not wider ones', [allow('a:b:read')], 'a:*:read', 'none'],
  ['the more specific denial wins', [deny('a:b:c'), allow('a:*:*')], 'a:b:c', 'deny'],
  ['the more specific allowance wins', [allow('a:b:c'), deny('a:*:*')], 'a:b:c', 'allow'],
  ['between equals a denial wins, in any order', [deny('a:b:c'), allow('a:b:c')], 'a:b:c', 'deny'],
  ['a hard denial beats what is more specific', [allow('a:b:c'), deny('*:*:*', { hard: true })], 'a:b:c', 'hard'],
  ['limits are not counted', [allow('a:b:c', { condition: 'actor.mfa' })], 'a:b:c', 'none'],
];
for (const [name, grants, asked, want] of effects) {
  test(name, () => {
    assert.equal(effectOf(grants, asked).saying, want);
    assert.equal(effectOf([...grants].reverse(), asked).saying, want);
  });
}

test('limits are told', () => {
  assert.equal(effectOf([allow('a:*:*', { compartment_id: 'x' })], 'a:b:c').limited, true);
  assert.equal(effectOf([allow('x:*:*', { compartment_id: 'x' })], 'a:b:c').limited, false);
});

test('a cell tells what is written for exactly its pattern', () => {
  const grants = [allow('a:*:*'), deny('a:b:c', { hard: true })];
  assert.deepEqual(['a:*:*', 'a:b:c', 'a:b:*'].map((pattern) => written(grants, pattern)), ['allow', 'hard', 'none']);
});

test('writing a cell and reading it gives the same, for every saying', () => {
  for (const saying of ['none', 'allow', 'deny', 'hard'] as const) {
    const grants = write([deny('a:b:c'), allow('x:*:*')], 'a:b:c', saying);
    assert.equal(written(grants, 'a:b:c'), saying);
    assert.equal(written(grants, 'x:*:*'), 'allow');
    assert.equal(grants.filter((grant) => grant.permission === 'a:b:c').length, saying === 'none' ? 0 : 1);
  }
});

test('writing a cell keeps grants with limits', () => {
  const limited = allow('a:b:c', { expires_at: '2027-01-01T00:00:00Z' });
  assert.deepEqual(write([limited, deny('a:b:c')], 'a:b:c', 'none'), [limited]);
});

test('changes are those that turn an answer', () => {
  const known = ['a:b:c', 'a:b:d', 'x:y:z'];
  assert.deepEqual(changes([allow('a:*:*')], [allow('a:*:*'), deny('a:b:c')], known), [{ permission: 'a:b:c', before: 'allow', after: 'deny' }]);
  assert.deepEqual(changes([], [deny('a:*:*')], known), []);
});
