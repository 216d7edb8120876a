import { deepEqual } from 'node:assert/strict';
import { test } from 'node:test';

import { moveTargets, pathTo, subtree, treeMatches, treeRows } from './tree';

const item = (id: string, parent_id: string | null = null) => ({ id, parent_id, name: id });
const items = [item('b10', 'a'), item('a'), item('b9', 'a'), item('c', 'b9'), item('z')];
const drawn = (rows: { item: { id: string }; depth: number }[]) =>
  rows.map((row) => '.'.repeat(row.depth) + row.item.id);

test('a tree is read from the top, names as people count', () => {
  deepEqual(drawn(treeRows(items)), ['a', '.b9', '..c', '.b10', 'z']);
});

test('what lies under a closed item is left out', () => {
  deepEqual(drawn(treeRows(items, new Set(['b9']))), ['a', '.b9', '.b10', 'z']);
  deepEqual(drawn(treeRows(items, new Set(['a']))), ['a', 'z']);
});

test('an item whose parent cannot be seen stands at the top', () => {
  deepEqual(drawn(treeRows([item('c', 'elsewhere'), item('d', 'c')])), ['c', '.d']);
});

test('a loop neither hangs nor hides anything', () => {
  deepEqual(drawn(treeRows([item('x', 'y'), item('y', 'x'), item('a')])), ['a', 'x', '.y']);
  deepEqual([...subtree([item('x', 'y'), item('y', 'x')], 'x')], ['x', 'y']);
  deepEqual(pathTo([item('x', 'y'), item('y', 'x')], 'x').length, 2);
});

test('a match keeps what is above it', () => {
  const found = treeMatches(items, (one) => one.name === 'c');
  deepEqual(drawn(treeRows(found)), ['a', '.b9', '..c']);
  deepEqual(treeMatches(items, () => false), []);
});

test('the path begins at the top', () => {
  deepEqual(pathTo(items, 'c').map((one) => one.id), ['a', 'b9', 'c']);
  deepEqual(pathTo(items, null), []);
});

test('nothing moves under itself, under its own, or to where it is', () => {
  deepEqual(drawn(moveTargets(items, 'b9')), ['.b10', 'z']);
  deepEqual(drawn(moveTargets(items, 'a')), ['z']);
  deepEqual(drawn(moveTargets(items, 'z')), ['a', '.b9', '..c', '.b10']);
});

test('a move never makes more levels than there may be', () => {
  deepEqual(drawn(moveTargets(items, 'z', 3)), ['a', '.b9', '.b10']);
  deepEqual(drawn(moveTargets(items, 'b9', 3)), ['.b10', 'z'].slice(1));
  deepEqual(drawn(moveTargets(items, 'a', 3)), []);
});
