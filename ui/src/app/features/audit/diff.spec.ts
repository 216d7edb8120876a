import assert from 'node:assert/strict';
import { test } from 'node:test';

import { diffDocuments, diffLines, fold, inline } from './diff';

test('a replaced line stands beside the one it replaces', () => {
  const lines = diffDocuments({ cpu: 2, name: 'web' }, { name: 'web', cpu: 4 });
  assert.deepEqual(
    lines.map((line) => line.kind),
    ['same', 'changed', 'same', 'same'],
  );
  assert.deepEqual(lines[1], {
    kind: 'changed',
    before: { number: 2, text: '  "cpu": 2,' },
    after: { number: 2, text: '  "cpu": 4,' },
  });
});

test('equal documents differ in nothing, whatever the order of their members', () => {
  const lines = diffDocuments({ a: 1, b: { c: 2, d: 3 } }, { b: { d: 3, c: 2 }, a: 1 });
  assert.ok(lines.every((line) => line.kind === 'same'));
});

test('creating adds every line and deleting removes it', () => {
  assert.ok(diffDocuments(null, { a: 1 }).every((line) => line.kind === 'added' && !line.before));
  assert.ok(diffDocuments({ a: 1 }, undefined).every((line) => line.kind === 'removed' && !line.after));
});

test('an insertion does not make the lines after it look changed', () => {
  const lines = diffLines(['a', 'b', 'c', 'd'], ['a', 'x', 'b', 'c', 'y', 'd']);
  assert.deepEqual(
    lines.map((line) => [line.kind, line.before?.number ?? 0, line.after?.number ?? 0]),
    [
      ['same', 1, 1],
      ['added', 0, 2],
      ['same', 2, 3],
      ['same', 3, 4],
      ['added', 0, 5],
      ['same', 4, 6],
    ],
  );
});

test('far lines that are the same are folded, near ones are not', () => {
  const before = Array.from({ length: 20 }, (_, at) => `line ${at}`);
  const after = before.with(10, 'other');
  const parts = fold(diffLines(before, after));
  assert.deepEqual(
    parts.map((part) => [part.folded, part.lines.length]),
    [
      [true, 7],
      [false, 7],
      [true, 6],
    ],
  );
  const shown = parts.flatMap((part) => part.lines);
  assert.equal(shown.length, 20);
});

test('one column shows what went before what came', () => {
  const lines = inline(diffLines(['a', 'b', 'c', 'd'], ['a', 'x', 'y', 'd']));
  assert.deepEqual(
    lines.map((line) => line.sign + line.text),
    [' a', '-b', '-c', '+x', '+y', ' d'],
  );
});
