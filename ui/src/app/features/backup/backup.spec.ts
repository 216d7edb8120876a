import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Backup, BackupSettings, badRecipients, recipientsOf, restoreCommand, standing } from './backup';

const now = Date.parse('2026-11-26T12:00:00Z');
const settings: BackupSettings = {
  target: { kind: 'directory', path: '/mnt' }, schedule: { enabled: true, at: '02:30' }, keep: { daily: 7, weekly: 4, monthly: 12 },
  wal: { enabled: true }, recipients: [], alarm_after_hours: 36,
};
const backup = (change: Partial<Backup>): Backup => ({
  id: 'a', kind: 'scheduled', state: 'done', started_at: '2026-11-26T02:30:00Z', bytes: 1, target: 'directory /mnt', includes: [], ...change,
});

test('without a target nothing is backed up, whatever the list says', () => {
  assert.equal(standing([backup({})], { ...settings, target: { kind: 'none' } }, now).state, 'none-chosen');
});

test('a backup that failed, was deleted or is still being made is none', () => {
  const list = ['failed', 'pruned', 'running'].map((state) => backup({ state }));
  assert.equal(standing(list, settings, now).state, 'none-made');
});

test('the newest decides about the age, and the alarm is the one of the settings', () => {
  const old = backup({ started_at: '2026-11-24T02:30:00Z' });
  assert.equal(standing([old], settings, now).state, 'late');
  assert.equal(standing([old], { ...settings, alarm_after_hours: 72 }, now).state, 'unproven');
});

test('what was restored and found whole proves them; an error takes that back', () => {
  const proven = backup({ id: 'b', verified_at: '2026-11-25T03:00:00Z', started_at: '2026-11-25T02:30:00Z' });
  const whole = standing([backup({}), proven], settings, now);
  assert.deepEqual([whole.state, whole.proven?.id, whole.newest?.id], ['well', 'b', 'a']);
  assert.equal(standing([{ ...proven, verify_error: 'a page is damaged' }], settings, now).state, 'unproven');
});

test('recipients stand one a line or apart by commas, and what is none is named', () => {
  const good = `age1${'q'.repeat(58)}`;
  assert.deepEqual(recipientsOf(` ${good}\n\n${good},x `), [good, good, 'x']);
  assert.deepEqual(badRecipients(`${good}\nage1short`), ['age1short']);
});

test('the command names where backups are kept, and no secret', () => {
  assert.equal(restoreCommand({ kind: 'directory', path: '/mnt/my nas' }), "nimbus restore --from '/mnt/my nas' --kit nimbus-recovery-kit.txt");
  const s3 = restoreCommand({ kind: 's3', endpoint: 's3.example.org', bucket: 'b', prefix: 'home', access_key: 'AK', secret: 'hush' });
  assert.equal(s3, 'nimbus restore --from s3://s3.example.org/b/home --kit nimbus-recovery-kit.txt --access-key AK --secret-file secret');
  assert.match(restoreCommand({ kind: 'sftp', user: 'n', host: 'nas', port: 2222, path: '/b', host_key: 'SHA256:x' }), /sftp:\/\/n@nas:2222\/b --kit .* --host-key 'SHA256:x'/);
});
