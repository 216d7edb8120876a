import assert from 'node:assert/strict';
import { test } from 'node:test';

import { fromLocal, toLocal } from './local-time';

test('local time goes both ways, in summer and winter', () => {
  for (const at of ['2026-07-01T10:30:00.000Z', '2026-12-31T23:59:00.000Z']) assert.equal(fromLocal(toLocal(at)), at);
});

test('nothing is no time', () => {
  assert.equal(toLocal(null), '');
  assert.equal(toLocal(undefined), '');
  assert.equal(fromLocal(''), null);
});
