import assert from 'node:assert/strict';
import { test } from 'node:test';

import { HoldForm, endsBeforeItBegins, holdBody, personName } from './hold';

const form: HoldForm = { name: ' Case 7 ', reason: 'Court order', from: '', to: '', actor: '', target: '', event: '' };

test('a hold of everything names no time and narrows nothing', () => {
  assert.deepEqual(holdBody(form), { name: 'Case 7', reason: 'Court order', filter: {} });
});

test('times are sent in UTC, empty parts of the filter are not', () => {
  const from = '2026-03-01T00:00';
  assert.deepEqual(holdBody({ ...form, from, event: ' identity.session ' }), {
    name: 'Case 7',
    reason: 'Court order',
    from: new Date(from).toISOString(),
    filter: { event: 'identity.session' },
  });
});

test('a time must not end before it begins', () => {
  assert.ok(endsBeforeItBegins({ from: '2026-03-02T00:00', to: '2026-03-01T00:00' }));
  assert.ok(!endsBeforeItBegins({ from: '2026-03-02T00:00', to: '' }));
  assert.ok(!endsBeforeItBegins({ from: '2026-03-01T00:00', to: '2026-03-02T00:00' }));
});

test('people are named, told as text or as object', () => {
  assert.equal(personName('Ada'), 'Ada');
  assert.equal(personName({ id: '1', name: 'Ada' }), 'Ada');
  assert.equal(personName(undefined), '');
});
