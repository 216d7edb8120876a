import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Found, goesFurther, momentBody, momentFault } from './restore';

const found: Found = {
  id: 'a', name: 'nimbus', kind: 'manual', version: '0.1.0', created_at: '2026-11-26T02:30:00Z', moment: '2026-11-26T02:33:00Z', bytes: 1, unpacked: 2,
  latest: '2026-11-26T09:00:00Z',
};

test('a moment is reached between the end of the backup and the end of the log', () => {
  assert.equal(momentFault(found, '2026-11-26T05:00:00Z'), '');
  for (const outside of ['', 'soon', '2026-11-26T02:00:00Z', '2026-11-26T09:00:01Z']) assert.notEqual(momentFault(found, outside), '', outside);
});

test('without a log there is only the moment of the backup', () => {
  assert.ok(goesFurther(found));
  assert.ok(!goesFurther({ ...found, latest: found.moment }));
});

test('only the moment that was chosen is asked for', () => {
  assert.deepEqual(momentBody('backup', '2026-11-26T05:00'), {});
  assert.deepEqual(momentBody('latest', '2026-11-26T05:00'), { latest: true });
  assert.deepEqual(momentBody('own', '2026-11-26T05:00:00Z'), { until: '2026-11-26T05:00:00.000Z' });
});
