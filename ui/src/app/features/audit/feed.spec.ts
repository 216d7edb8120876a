import assert from 'node:assert/strict';
import { test } from 'node:test';

import { FeedLine, append, most } from './feed';
import { AuditRecord } from './record';

const record = (sequence: number): AuditRecord => ({ sequence }) as AuditRecord;
const shown = (lines: readonly FeedLine[]): string =>
  lines.map((line) => (line.record ? line.record.sequence : `lost ${line.lost}`)).join(' ');

test('the newest line is the first', () => {
  const lines = append(append([], { records: [record(1), record(2)], lost: 0 }), { records: [record(3)], lost: 0 });
  assert.equal(shown(lines), '3 2 1');
});

test('what was lost stands before the records that came after it', () => {
  const lines = append(append([], { records: [record(1)], lost: 0 }), { records: [record(9)], lost: 7 });
  assert.equal(shown(lines), '9 lost 7 1');
});

test('a record that comes twice is shown once', () => {
  const lines = append(append([], { records: [record(1)], lost: 0 }), { records: [record(1), record(2)], lost: 0 });
  assert.equal(shown(lines), '2 1');
});

test('only so many lines are kept', () => {
  const records = Array.from({ length: most + 20 }, (_, at) => record(at + 1));
  const lines = append([], { records, lost: 0 });
  assert.equal(lines.length, most);
  assert.equal(lines[0]?.record?.sequence, most + 20);
});
