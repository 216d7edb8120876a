import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Retention, anythingEnds, dueTooEarly, faultless, faultsOf, keptFor, wholeDays } from './retention';

const plain: Retention = { default_days: 365, rules: [], archive_after_days: 30, prune_enabled: false };

test('a plain setting is faultless, for ever too', () => {
  assert.ok(faultless(faultsOf(plain)));
  assert.ok(faultless(faultsOf({ ...plain, default_days: null, rules: [{ event: 'identity.session', days: null }] })));
});

test('days are whole, at least one, and not an age of the world', () => {
  for (const days of [0, -1, 1.5, Number.NaN, 36_501]) {
    assert.notEqual(faultsOf({ ...plain, default_days: days }).default_days, '', String(days));
  }
});

test('a rule names an event once, whole words only', () => {
  const rules = ['', 'identity.', 'Identity', 'identity.user', 'identity.user'].map((event) => ({ event, days: 1 }));
  const faults = faultsOf({ ...plain, rules });
  assert.deepEqual(faults.rules.map((one) => one.event !== ''), [true, true, true, false, true]);
});

test('what would go before it is archived is named', () => {
  const retention = { ...plain, default_days: 10, rules: [{ event: 'a', days: 29 }, { event: 'b', days: 30 }, { event: 'c', days: null }] };
  assert.deepEqual(dueTooEarly(retention), ['', 'a']);
});

test('one rule with an end is enough for something to end', () => {
  assert.ok(!anythingEnds({ ...plain, default_days: null, rules: [{ event: 'a', days: null }] }));
  assert.ok(anythingEnds({ ...plain, default_days: null, rules: [{ event: 'a', days: 5 }] }));
});

test('days are told as people say them', () => {
  assert.equal(keptFor(null), 'for ever');
  assert.equal(keptFor(1), 'one day');
  assert.equal(keptFor(90), '90 days');
  assert.match(keptFor(2557), /about 7 years/);
});

test('only whole numbers are days', () => {
  assert.equal(wholeDays(' 30 '), 30);
  for (const text of ['', '1.5', '1e3', '-4', 'x']) assert.ok(Number.isNaN(wholeDays(text)), text);
});
