import assert from 'node:assert/strict';
import { test } from 'node:test';

import { faultless, faultsOf, newRule, resultText, sample, sampleOf } from './redaction';

test('a new rule wants a name and something to match', () => {
  const faults = faultsOf(newRule());
  assert.notEqual(faults.name, '');
  assert.notEqual(faults.match, '');
  assert.equal(faults.scope, '');
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
