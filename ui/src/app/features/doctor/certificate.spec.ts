import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Certificate, daysLeft, leftTone, namesOf, sortPem } from './certificate';

const now = Date.parse('2026-11-26T12:00:00Z');
const until = (not_after: string) => daysLeft({ not_after } as Certificate, now);

test('the days that are left are whole ones, and what is over is less than none', () => {
  assert.equal(until('2026-12-26T13:00:00Z'), 30);
  assert.equal(until('2026-11-26T13:00:00Z'), 0);
  assert.equal(until('2026-11-26T11:00:00Z'), -1);
  assert.deepEqual([30, 20, 0, -1].map(leftTone), ['good', 'warn', 'warn', 'bad']);
});

const certificate = (n: number) => `-----BEGIN CERTIFICATE-----\nMII${n}\n-----END CERTIFICATE-----`;
const key = '-----BEGIN EC PRIVATE KEY-----\nMHc\n-----END EC PRIVATE KEY-----';

test('certificates keep their order, and the key is found wherever it lay', () => {
  const sorted = sortPem(`Bag Attributes\n${certificate(1)}\n${key}\nsubject=x\n${certificate(2)}\n`);
  assert.equal(sorted.certificates, `${certificate(1)}\n${certificate(2)}`);
  assert.equal(sorted.key, key);
});

test('parameters of a curve are no key, and a text without blocks yields nothing', () => {
  assert.deepEqual(sortPem('-----BEGIN EC PARAMETERS-----\nBg\n-----END EC PARAMETERS-----'), { certificates: '', key: '' });
  assert.deepEqual(sortPem('hello'), { certificates: '', key: '' });
});

test('names stand apart by whatever one writes between them', () => {
  assert.deepEqual(namesOf(' Nimbus.example.org, a.example.org\n\nb.example.org '), ['nimbus.example.org', 'a.example.org', 'b.example.org']);
});
