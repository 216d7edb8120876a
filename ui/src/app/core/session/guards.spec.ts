import assert from 'node:assert/strict';
import { test } from 'node:test';

import { safeReturn } from './guards';

test('TestRobustness33OpenRedirect: only addresses inside the interface are followed', () => {
  for (const bad of [null, '', 'https://evil', '//evil', '/\\evil', '\\evil', 'javascript:alert(1)', '/sign-in?return=/']) {
    assert.equal(safeReturn(bad), '/');
  }
});

test('addresses inside the interface are kept', () => {
  for (const good of ['/', '/audit?outcome=denied', '/deployments/1#log']) {
    assert.equal(safeReturn(good), good);
  }
});
