import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ConditionWords, offers } from './words';

const words: ConditionWords = {
  names: [
    { name: 'actor.mfa', type: 'bool', description: 'Second factor', example: 'actor.mfa' },
    { name: 'actor.name', type: 'string', description: 'Name', example: '' },
    { name: 'time', type: 'timestamp', description: 'Now', example: '' },
  ],
  functions: [{ name: 'startsWith, endsWith', description: 'Parts of a text', example: 'actor.name.startsWith("ci-")' }, { name: 'cidr, ip', description: '', example: 'cidr("10.0.0.0/8").containsIP(address)' }, { name: 'in', description: '', example: '' }],
};
const labels = (typed: string, from: ConditionWords | null = words) => offers(from, typed).map((one) => one.label);

test('a name is offered by its beginning', () => {
  assert.deepEqual(labels('act'), ['actor.mfa', 'actor.name']);
  assert.deepEqual(labels('actor.m'), ['actor.mfa']);
});

test('behind a dot functions are offered with what stands before', () => {
  assert.deepEqual(labels('actor.name.s'), ['actor.name.startsWith']);
  assert.deepEqual(labels('actor.name.e'), ['actor.name.endsWith']);
  assert.deepEqual(labels('actor.name.c'), []);
  assert.equal(offers(words, 'actor.name.s')[0]?.apply, 'actor.name.startsWith(');
});

test('functions that stand alone are offered where a value begins', () => {
  assert.deepEqual(labels('ci'), ['cidr']);
  assert.deepEqual(labels('st'), []);
});

test('constants are offered where a value begins, operators never', () => {
  assert.deepEqual(labels('t'), ['time', 'true']);
  assert.deepEqual(labels('actor.t'), []);
  assert.deepEqual(labels('in'), []);
});

test('without a vocabulary only constants are known', () => {
  assert.deepEqual(labels('', null), ['true', 'false', 'null']);
  assert.deepEqual(labels('ti', { items: words.names ?? [] }), ['time']);
});
