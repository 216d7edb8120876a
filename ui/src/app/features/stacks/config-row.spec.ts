import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';

import { configOf, doubled, rowsOf, typed } from './config-row';
import { mask } from './stack';

const config = {
  cores: { value: 2, secret: false },
  labels: { value: ['a', 'b'], secret: false },
  password: { value: mask, secret: true },
};

test('what was not touched goes back as it came, secrets masked', () => {
  deepEqual(configOf(rowsOf(config), new Map()), config);
});

test('a masked secret is never shown as its mask', () => {
  equal(rowsOf(config).find((row) => row.key === 'password')?.text, '');
});

test('a value takes the type that the program declares', () => {
  const rows = [{ key: 'memory', text: '2048', secret: false, origin: null }];
  deepEqual(configOf(rows, new Map([['memory', 'integer']])), { memory: { value: 2048, secret: false } });
  deepEqual(configOf(rows, new Map()), { memory: { value: '2048', secret: false } });
});

test('a changed value keeps the type it had', () => {
  const rows = rowsOf(config).map((row) => (row.key === 'cores' ? { ...row, text: '4' } : row));
  equal(configOf(rows, new Map())['cores']?.value, 4);
});

test('a new text replaces a secret; a secret made plain is not sent as its mask', () => {
  const change = (part: object) => rowsOf(config).map((row) => (row.key === 'password' ? { ...row, ...part } : row));
  deepEqual(configOf(change({ text: 'new' }), new Map())['password'], { value: 'new', secret: true });
  deepEqual(configOf(change({ secret: false }), new Map())['password'], { value: '', secret: false });
});

test('text that does not fit its type stays text, for the server to refuse', () => {
  equal(typed('many', 'integer'), 'many');
  equal(typed('', 'integer'), '');
  equal(typed('yes', 'boolean'), 'yes');
  deepEqual(typed('[1]', 'list<number>'), [1]);
});

test('doubled names each key that stands twice', () => {
  const row = (key: string) => ({ key, text: '', secret: false, origin: null });
  deepEqual(doubled([row('a'), row('b'), row(' a ')]), ['a']);
});
