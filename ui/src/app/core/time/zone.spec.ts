import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';

import { localTime } from './format';
import { fromInput, offset, toInput, useZone, zone } from './zone';

afterEach(() => useZone(undefined));

test('times are shown in the zone of the tenant, with its distance from UTC', () => {
  useZone('Europe/Vienna');
  assert.match(localTime(new Date('2026-01-15T08:30:00Z')), /09:30:00/);
  assert.equal(offset(new Date('2026-01-15T08:30:00Z')), 'UTC+01:00 Europe/Vienna');
  assert.equal(offset(new Date('2026-07-15T08:30:00Z')), 'UTC+02:00 Europe/Vienna');
  useZone('America/St_Johns');
  assert.equal(offset(new Date('2026-01-15T08:30:00Z')), 'UTC-03:30 America/St_Johns');
});

test('a zone that the browser does not know counts as none', () => {
  useZone('Mars/Olympus');
  assert.equal(zone(), undefined);
  assert.match(offset(new Date('2026-01-15T08:30:00Z')), /^UTC[+-]\d\d:\d\d$/);
});

test('what is typed into a field is of the same zone as what is shown', () => {
  useZone('Asia/Kathmandu');
  assert.equal(toInput('2026-01-15T08:30:00Z'), '2026-01-15T14:15');
  assert.equal(fromInput('2026-01-15T14:15'), '2026-01-15T08:30:00.000Z');
  useZone('Europe/Vienna');
  for (const at of ['2026-03-29T00:59:00.000Z', '2026-03-29T01:00:00.000Z', '2026-10-25T01:30:00.000Z', '2026-07-01T12:00:00.000Z']) {
    assert.equal(fromInput(toInput(at)), at);
  }
  assert.equal(fromInput('2026-01-15T14:15:20'), '2026-01-15T13:15:20.000Z');
  assert.equal(toInput(''), '');
  assert.equal(fromInput('soon'), null);
});
