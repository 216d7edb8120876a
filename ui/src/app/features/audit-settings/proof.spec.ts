import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Checkpoint, keyPlace, reachOf, knownTime, signerTone, signerWord, verifyCommands } from './proof';

const checkpoint = (published: Checkpoint['published']): Checkpoint => ({
  id: '1', size: 10, root: '', note: '', key_kind: 'file', key_name: '', algorithm: '', created_at: '', published,
});
const there = { place: 'a', at: '2026-01-01T00:00:00Z' };

test('a checkpoint that is nowhere but here is worth a warning', () => {
  assert.equal(reachOf(checkpoint(null)).tone, 'warn');
  assert.equal(reachOf(checkpoint([])).tone, 'warn');
});

test('a failure outweighs, waiting is under way, everywhere is good', () => {
  const failed = { place: 'b', at: null, error: 'refused' };
  const waiting = { place: 'c', at: null };
  assert.equal(reachOf(checkpoint([there, failed, waiting])).tone, 'bad');
  assert.equal(reachOf(checkpoint([there, waiting])).tone, 'busy');
  assert.deepEqual(reachOf(checkpoint([there])), { tone: 'good', text: 'one place' });
});

test('an error of a former try does not count when it is there now', () => {
  assert.equal(reachOf(checkpoint([{ ...there, error: 'refused at first' }])).tone, 'good');
});

test('states and kinds are words', () => {
  assert.equal(signerTone('failing'), 'bad');
  assert.notEqual(signerWord('none'), 'none');
  assert.notEqual(keyPlace('hsm'), 'hsm');
  assert.equal(keyPlace('cloud'), 'cloud');
});

test('a moment of year 1 is none', () => {
  assert.equal(knownTime('0001-01-01T00:00:00Z'), null);
  assert.equal(knownTime(undefined), null);
  assert.equal(knownTime('2026-01-01T00:00:00Z'), '2026-01-01T00:00:00Z');
});

test('the commands hold every key as it is', () => {
  const key = (vkey: string) => ({ name: 'n', vkey, algorithm: 'ed25519', created_at: '' });
  const text = verifyCommands([key('nimbus/a+12345678+AAAA'), key('nimbus/a+87654321+BBBB')]);
  assert.match(text, /^nimbus\/a\+12345678\+AAAA$/m);
  assert.match(text, /^nimbus\/a\+87654321\+BBBB$/m);
  assert.match(text, /nimbus-verify .*export\.jsonl/);
});
