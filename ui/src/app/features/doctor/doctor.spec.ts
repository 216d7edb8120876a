import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Finding, countOf, groupsOf, measuredLines } from './doctor';

const finding = (group: string, status: string, check = status): Finding => ({ check, group, status, summary: '', advice: '', measured: {} });

test('groups stand in the order in which one looks, and a group that is new comes last', () => {
  const groups = groupsOf([finding('outside', 'ok'), finding('moon', 'ok'), finding('machine', 'ok')]);
  assert.deepEqual(groups.map((group) => group.name), ['machine', 'outside', 'moon']);
});

test('the worst finding stands first and names the group', () => {
  const [group] = groupsOf(['ok', 'unknown', 'failed', 'warning'].map((status) => finding('data', status)));
  assert.deepEqual(group?.items.map((one) => one.status), ['failed', 'warning', 'unknown', 'ok']);
  assert.equal(group?.worst, 'failed');
});

test('findings are counted by their status', () => {
  assert.equal(countOf([finding('a', 'ok'), finding('b', 'failed'), finding('a', 'ok')], 'ok'), 2);
});

test('what was measured can be read, whatever it is', () => {
  assert.deepEqual(measuredLines({ free_bytes: 1234, names: ['a', 'b'], none: '', on: false, more: { a: 1 } }), [
    { name: 'free bytes', value: (1234).toLocaleString() },
    { name: 'names', value: 'a, b' },
    { name: 'none', value: '–' },
    { name: 'on', value: 'false' },
    { name: 'more', value: '{"a":1}' },
  ]);
  assert.deepEqual(measuredLines(null), []);
});
