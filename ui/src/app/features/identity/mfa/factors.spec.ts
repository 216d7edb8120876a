import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Factors, anyFactor, isLast, recoveryFile } from './factors';

const factors = (totp: boolean, passkeys: number, required = true): Factors => ({
  totp, required, recovery_codes_left: 3,
  passkeys: Array.from({ length: passkeys }, (_, at) => ({ id: String(at), name: '', created_at: '', last_used_at: null })),
});

test('recovery codes alone are no factor', () => {
  assert.equal(anyFactor(factors(false, 0)), false);
  assert.equal(anyFactor(null), false);
  assert.equal(anyFactor(factors(true, 0)), true);
  assert.equal(anyFactor(factors(false, 1)), true);
});

test('the last factor is told while one is required', () => {
  assert.equal(isLast(factors(true, 0)), true);
  assert.equal(isLast(factors(false, 1)), true);
  assert.equal(isLast(factors(true, 1)), false);
  assert.equal(isLast(factors(true, 0, false)), false);
});

test('the file of recovery codes names the account, the place and the day', () => {
  const text = recoveryFile(['aaaa-bbbb', 'cccc-dddd'], 'ann@example.org', 'nimbus.home.arpa', new Date('2026-11-26T10:00:00Z'));
  assert.match(text, /ann@example.org at nimbus.home.arpa/);
  assert.match(text, /2026-11-26/);
  assert.ok(text.endsWith('\naaaa-bbbb\ncccc-dddd\n'));
});
