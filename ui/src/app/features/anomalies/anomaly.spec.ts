import assert from 'node:assert/strict';
import { test } from 'node:test';

import { decisionsFor, kindText, kindWord, kinds, parameterWord, severityTone, subjectLink } from './anomaly';

test('every kind has a name and says what it looks for', () => {
  for (const kind of kinds) {
    assert.notEqual(kindWord(kind), kind);
    assert.notEqual(kindText(kind), '');
  }
});

test('what this version does not know is shown as it is named', () => {
  assert.equal(kindWord('moon_phase'), 'moon_phase');
  assert.equal(parameterWord('full_moons'), 'full moons');
  assert.equal(severityTone('curious'), 'plain');
});

test('an open finding is decided about, a decided one is only opened again', () => {
  assert.deepEqual(decisionsFor('open'), ['acknowledge', 'false-positive']);
  assert.deepEqual(decisionsFor('false_positive'), ['reopen']);
});

test('a subject links only to what the person may open', () => {
  const role = { kind: 'role', id: 'r1', name: 'Operator' };
  assert.deepEqual(subjectLink(role, () => true), ['/roles', 'r1']);
  assert.equal(subjectLink(role, () => false), null);
  assert.equal(subjectLink({ kind: 'address', id: '10.0.0.1', name: '10.0.0.1' }, () => true), null);
});
