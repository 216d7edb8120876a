import assert from 'node:assert/strict';
import { test } from 'node:test';

import { changesBetween, flatten } from './changes';

test('equal documents have no changes', () => {
  assert.deepEqual(changesBetween({ a: 1, b: [1, { c: null }] }, { b: [1, { c: null }], a: 1 }), []);
});

test('changed, added and removed values are named by path', () => {
  const changes = changesBetween(
    { memory: 2048, tags: ['web'], net: { bridge: 'vmbr0' } },
    { memory: 4096, tags: ['web', 'prod'] },
  );
  assert.deepEqual(changes, [
    { path: 'memory', before: '2048', after: '4096' },
    { path: 'net.bridge', before: 'vmbr0', after: null },
    { path: 'tags[1]', before: null, after: 'prod' },
  ]);
});

test('creating and deleting compare with nothing', () => {
  assert.deepEqual(changesBetween(null, { name: 'x' }), [{ path: 'name', before: null, after: 'x' }]);
  assert.deepEqual(changesBetween({ name: 'x' }, null), [{ path: 'name', before: 'x', after: null }]);
});

test('an empty document holds nothing, an empty value is a value', () => {
  assert.deepEqual([...flatten({})], []);
  assert.deepEqual([...flatten({ tags: [] })], [['tags', '[]']]);
});
