import assert from 'node:assert/strict';
import { test } from 'node:test';

import { barsBetween, barsOf, spanOf } from './buckets';

const now = Date.parse('2026-11-25T12:30:00Z');
const bucket = (from: string, count: number) => ({ from, count, denied: 1, failed: 0, critical: 0 });

test('an open span is the last thirty days by day, a short one is by hour', () => {
  assert.equal(spanOf(undefined, undefined, now).bucket, 'day');
  assert.deepEqual(spanOf('2026-11-25T00:00:00Z', undefined, now), {
    from: Date.parse('2026-11-25T00:00:00Z'),
    to: now,
    bucket: 'hour',
  });
});

test('hours without records have a bar too', () => {
  const span = spanOf('2026-11-25T08:10:00Z', undefined, now);
  const bars = barsOf([bucket('2026-11-25T09:00:00Z', 4), bucket('2026-11-25T12:00:00Z', 2)], span);
  assert.deepEqual(
    bars.map((bar) => bar.count),
    [0, 4, 0, 0, 2],
  );
  assert.equal(new Date(bars[0]?.from ?? 0).toISOString(), '2026-11-25T08:00:00.000Z');
});

test('days begin where the server says, and none is lost when the clocks change', () => {
  const span = spanOf('2026-03-27T00:00:00Z', '2026-04-01T00:00:00Z', now);
  const days = ['2026-03-27T23:00:00Z', '2026-03-28T23:00:00Z', '2026-03-29T22:00:00Z', '2026-03-30T22:00:00Z'];
  const bars = barsOf(days.map((day) => bucket(day, 1)), { ...span, bucket: 'day' });
  assert.equal(bars.reduce((sum, bar) => sum + bar.count, 0), 4);
  assert.ok(bars.every((bar) => bar.count <= 1));
});

test('a brush takes whole bars, whichever way it went', () => {
  const bars = barsOf([], { from: 0, to: 4 * 3_600_000, bucket: 'hour' });
  assert.deepEqual(barsBetween(bars, 0.7, 0.3), { from: 3_600_000, to: 3 * 3_600_000 });
  assert.deepEqual(barsBetween(bars, 0, 1), { from: 0, to: 4 * 3_600_000 });
});
