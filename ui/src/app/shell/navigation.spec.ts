import assert from 'node:assert/strict';
import { test } from 'node:test';

import { navigation, navigationFor } from './navigation';

const paths = (can: (permission: string) => boolean, inRoot = true) =>
  navigationFor(can, inRoot).flatMap((group) => group.entries.map((entry) => entry.path));

test('entries that need a right are left out without it, the others stay', () => {
  const none = paths(() => false);
  assert.ok(none.includes('/audit') && none.includes('/health'));
  assert.ok(!none.includes('/anomalies') && !none.includes('/mail'));
  assert.equal(paths(() => true).length, navigation.flatMap((group) => group.entries).length);
});

test('what is only the provider\'s is shown in the root tenant only', () => {
  assert.ok(paths(() => true).includes('/mail') && !paths(() => true, false).includes('/mail'));
});

test('one of several rights is enough', () => {
  assert.ok(paths((permission) => permission === 'audit:sink:read').includes('/audit-settings'));
});

test('no two entries have the same keys', () => {
  const keys = navigation.flatMap((group) => group.entries.map((entry) => entry.keys));
  assert.equal(new Set([...keys, 'g p']).size, keys.length + 1);
});
