import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Schedule, Workflow, specWords, statusTone, statusWord, statuses, typesOf } from './workflow';

test('every status one can ask for has a word, and a new one is shown as it is named', () => {
  for (const status of statuses) assert.ok(statusWord(status).length > 0 && !statusWord(status).includes('_'), status);
  assert.equal(statusWord('frozen'), 'frozen');
});

test('what ended badly is told from what was ended', () => {
  assert.deepEqual(['failed', 'timed_out', 'terminated'].map(statusTone), ['bad', 'bad', 'bad']);
  assert.equal(statusTone('canceled'), 'plain');
});

test('types come from what ran and from what will, once each', () => {
  const ran = [{ type: 'B' }, { type: 'A' }, { type: 'B' }] as Workflow[];
  const will = [{ workflow: 'C' }, { workflow: 'A' }, { workflow: '' }] as Schedule[];
  assert.deepEqual(typesOf(ran, will), ['A', 'B', 'C']);
});

test('times of a schedule are said as one says them, the rest stays', () => {
  assert.equal(specWords('every 24h0m0s'), 'every 24 h');
  assert.equal(specWords('every 1h30m0s'), 'every 1 h 30 min');
  assert.equal(specWords('every 30s'), 'every 30 s');
  assert.equal(specWords('by the calendar'), 'by the calendar');
});
