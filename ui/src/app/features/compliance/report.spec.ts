import assert from 'node:assert/strict';
import { test } from 'node:test';

import { barsOf, checkWord, fixFor, lastDays, lengthOf, percent, periodQuery, reportAddress, worstDay } from './report';

test('a period goes from midnight to the midnight after its last day', () => {
  assert.deepEqual(periodQuery({ from: '2026-11-01', to: '2026-11-30' }), {
    from: new Date(2026, 10, 1).toISOString(),
    to: new Date(2026, 11, 1).toISOString(),
  });
  assert.deepEqual(periodQuery({ from: '', to: '' }), { from: '', to: '' });
});

test('the last days count today, over the end of a month too', () => {
  const days = lastDays(7, new Date(2026, 2, 3, 23, 59));
  assert.deepEqual(days, { from: '2026-02-25', to: '2026-03-03' });
  assert.equal(lengthOf(days), 7);
});

test('a period the wrong way round or half of one is none', () => {
  assert.equal(lengthOf({ from: '2026-03-03', to: '2026-03-02' }), null);
  assert.equal(lengthOf({ from: '', to: '2026-03-02' }), null);
});

test('bars are parts of the highest, small ones can be seen, none is none', () => {
  const bars = barsOf([{ day: 'a', count: 0 }, { day: 'b', count: 1 }, { day: 'c', count: 1000 }]);
  assert.deepEqual(bars.map((bar) => bar.height), [0, 0.04, 1]);
  assert.deepEqual(barsOf([{ day: 'a', count: 0 }]).map((bar) => bar.height), [0]);
});

test('the worst day is the first with most, or none', () => {
  assert.equal(worstDay([{ day: 'a', count: 2 }, { day: 'b', count: 5 }, { day: 'c', count: 5 }])?.day, 'b');
  assert.equal(worstDay([{ day: 'a', count: 0 }]), null);
  assert.equal(worstDay([]), null);
});

test('100 percent means all of it', () => {
  assert.equal(percent(99_999, 100_000), 99);
  assert.equal(percent(5, 5), 100);
  assert.equal(percent(0, 0), 100);
  assert.equal(percent(1, 3), 33);
});

test('each known check has words and a place to put it right', () => {
  for (const check of ['checkpoint_published', 'chain_verified', 'signing_key', 'no_critical_anomaly', 'changes_approved', 'no_break_glass', 'mfa_for_administrators', 'second_person_approves', 'passwords', 'root_key']) {
    assert.notEqual(checkWord(check), check.replaceAll('_', ' '), check);
    assert.notEqual(fixFor(check, 't1'), null, check);
  }
  assert.equal(checkWord('moon_is_full'), 'moon is full');
  assert.equal(fixFor('moon_is_full', 't1'), null);
});

test('a report names its period, and none when it is the usual one', () => {
  assert.equal(reportAddress('break-glass', 'csv', { from: '', to: '' }), '/v1/audit/compliance/reports/break-glass.csv');
  const address = new URL(reportAddress('break-glass', 'html', { from: '2026-11-01', to: '2026-11-30' }), 'https://x');
  assert.equal(address.searchParams.get('from'), new Date(2026, 10, 1).toISOString());
});
