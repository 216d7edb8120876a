import assert from 'node:assert/strict';
import { test } from 'node:test';

import { eventOf, faultless, faultsOf, newRule, resultText, sample, sampleOf } from './redaction';

test('a new rule wants a name and something to match', () => {
  const faults = faultsOf(newRule());
  assert.notEqual(faults.name, '');
  assert.notEqual(faults.match, '');
  assert.equal(faults.scope, '');
});

test('a field may be the end of a path and have stars, and nothing else', () => {
  const rule = { ...newRule(), name: 'Phone' };
  for (const match of ['guest.serial', '*_phone', 'straße']) assert.equal(faultsOf({ ...rule, match }).match, '', match);
  for (const match of ['a..b', '$.a', 'a,b']) assert.notEqual(faultsOf({ ...rule, match }).match, '', match);
});

test('the event of a sample is taken from it, where it names one', () => {
  assert.equal(eventOf(sampleOf(sample)), 'identity.user.updated');
  assert.equal(eventOf({ event: 7 }) + eventOf('text') + eventOf(null), '');
});

test('a field is one word, a pattern may have spaces', () => {
  const rule = { ...newRule(), name: 'Phone', match: 'phone number' };
  assert.notEqual(faultsOf(rule).match, '');
  assert.ok(faultless([{ ...rule, kind: 'pattern' }]));
});

test('a scope is all or the beginning of an event', () => {
  const rule = { ...newRule(), name: 'Phone', match: 'phone' };
  assert.ok(faultless([rule, { ...rule, scope: 'identity.user' }]));
  assert.ok(!faultless([rule, { ...rule, scope: 'identity.' }]));
});

test('a sample is JSON where it can be and text where not', () => {
  assert.deepEqual(sampleOf('{"a":1}'), { a: 1 });
  assert.equal(sampleOf('{"a":'), '{"a":');
  assert.equal(typeof sampleOf(sample), 'object');
});

test('a result is shown as it can be read', () => {
  assert.equal(resultText('plain'), 'plain');
  assert.equal(resultText({ a: 1 }), '{\n  "a": 1\n}');
});
