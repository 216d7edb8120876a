import { equal, match, deepEqual } from 'node:assert/strict';
import { test } from 'node:test';

import { Quota, limitsProblem, quotaAmount, quotaLevel, quotaShares, quotaWords } from './quota';

const quota = (used: number, soft: number | null, hard: number | null): Quota => ({ kind: 'stacks', used, soft, hard });

test('how near a quota is to its end', () => {
  equal(quotaLevel(quota(5, null, null)), 'free');
  equal(quotaLevel(quota(5, null, 10)), 'fine');
  equal(quotaLevel(quota(7, 8, 10)), 'fine');
  equal(quotaLevel(quota(8, 8, 10)), 'warn');
  equal(quotaLevel(quota(10, 8, 10)), 'full');
  equal(quotaLevel(quota(0, null, 0)), 'full');
  equal(quotaLevel(quota(99, 8, null)), 'warn');
});

test('the words say what is left and what happens', () => {
  equal(quotaWords(quota(3, null, null)), 'No limit.');
  equal(quotaWords(quota(3, 8, 10)), '7 left.');
  match(quotaWords(quota(9, 8, 10)), /soft limit; 1 left/);
  match(quotaWords(quota(10, 8, 10)), /^Full/);
  match(quotaWords(quota(12, 8, 10)), /^2 over the limit/);
  match(quotaWords(quota(9, 8, null)), /nothing is refused/);
});

test('memory and disk are told in the unit that people use', () => {
  equal(quotaAmount('memory_mib', 512), '512 MiB');
  equal(quotaAmount('memory_mib', 1536), '1.5 GiB');
  equal(quotaAmount('memory_mib', 2 * 1024 * 1024), '2 TiB');
  equal(quotaAmount('disk_gib', 500), '500 GiB');
  equal(quotaAmount('vcpu', 16), '16');
});

test('the bar never grows beyond its frame and never divides by nothing', () => {
  equal(quotaShares(quota(5, null, null)), null);
  deepEqual(quotaShares(quota(20, 5, 10)), { used: 1, given: 0, soft: 0.5 });
  deepEqual(quotaShares(quota(2, 4, null)), { used: 0.5, given: 0, soft: null });
  deepEqual(quotaShares(quota(0, null, 0)), { used: 1, given: 0, soft: null });
});

test('limits that contradict each other are refused in words', () => {
  equal(limitsProblem(null, null), null);
  equal(limitsProblem(8, 10), null);
  equal(limitsProblem(10, 10), null);
  equal(limitsProblem(0, null), null);
  match(limitsProblem(11, 10) ?? '', /cannot be higher/);
  match(limitsProblem(1.5, null) ?? '', /whole numbers/);
  match(limitsProblem(null, -1) ?? '', /whole numbers/);
  match(limitsProblem(Number.NaN, null) ?? '', /whole numbers/);
});

test('what sub-tenants are given is gone, used or not', () => {
  const given: Quota = { ...quota(3, null, 10), given: 6 };
  equal(quotaWords(given), '1 left.');
  deepEqual(quotaShares(given), { used: 0.3, given: 0.6, soft: null });
  equal(quotaLevel({ ...given, used: 4 }), 'full');
  match(quotaWords({ ...given, given: 12 }), /^3 over the limit/);
  deepEqual(quotaShares({ ...given, used: 8 }), { used: 0.8, given: 1 - 0.8, soft: null });
});
