import assert from 'node:assert/strict';
import { test } from 'node:test';

import { navigation, navigationFor } from './navigation';

const paths = (can: (permission: string) => boolean) => navigationFor(can).flatMap((group) => group.entries.map((entry) => entry.path));

test('entries that need a right are left out without it, the others stay', () => {
  const none = paths(() => false);
  assert.ok(none.includes('/audit') && none.includes('/health'));
  assert.ok(!none.includes('/anomalies') && !none.includes('/mail'));
  assert.equal(paths(() => true).length, navigation.flatMap((group) => group.entries).length);
});

test('one of several rights is enough', () => {
  assert.ok(paths((permission) => permission === 'audit:sink:read').includes('/audit-settings'));
});

test('no two entries have the same keys', () => {
  const keys = navigation.flatMap((group) => group.entries.map((entry) => entry.keys));
  assert.equal(new Set([...keys, 'g p']).size, keys.length + 1);
});
