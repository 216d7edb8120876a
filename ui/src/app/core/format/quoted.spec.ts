import assert from 'node:assert/strict';
import { test } from 'node:test';

import { quoted } from './quoted';

test('commands are told from the sentence around them', () => {
  assert.deepEqual(quoted('Run `nimbus audit verify`, then `nimbus status`.'), [
    { text: 'Run ', code: false },
    { text: 'nimbus audit verify', code: true },
    { text: ', then ', code: false },
    { text: 'nimbus status', code: true },
    { text: '.', code: false },
  ]);
});

test('what has no pair stays as it is', () => {
  assert.deepEqual(quoted('a ` b'), [{ text: 'a ` b', code: false }]);
  assert.deepEqual(quoted('``'), [{ text: '``', code: false }]);
  assert.deepEqual(quoted(''), []);
});
