// Made-up backups: a list whose newest is made while one looks, and their settings.
import { problem } from './made-up.mjs';

const ago = (minutes) => new Date(Date.now() - minutes * 60_000).toISOString();
const id = (n) => `019ab2f3-5e6f-7a1b-8c2d-${String(n).padStart(12, '0')}`;
const day = 1440;

const parts = ['databases', 'keys', 'settings', 'deployment state'];
const made = (n, minutes, rest) => ({
  id: id(n), kind: 'scheduled', state: 'done', started_at: ago(minutes), finished_at: ago(minutes - 3.4), bytes: 612_400_000 - n * 2_100_000,
  target: 's3 s3.example.org/nimbus-backups/homelab', includes: parts, wal_from: '0000000100000002000000A4', wal_to: '0000000100000002000000A6',
  verified_at: ago(minutes - 9), ...rest,
});
const list = [
  made(3, 420), made(4, 420 + day, { verify_error: 'The audit chain of Homelab ends at record 4,102; the manifest says 4,310.' }),
  made(5, 600 + day, { kind: 'before_upgrade', verified_at: null }),
  made(6, 420 + 2 * day, { state: 'failed', finished_at: ago(419 + 2 * day), bytes: 0, verified_at: null, error: 'The place cannot be reached: no route to host s3.example.org. Test it in the settings.' }),
  made(7, 420 + 7 * day), made(8, 420 + 38 * day, { state: 'pruned' }),
];
let settings = {
  target: { kind: 's3', endpoint: 's3.example.org', bucket: 'nimbus-backups', region: 'eu-central-1', prefix: 'homelab', access_key: 'AKNIMBUS01', has_secret: true },
  schedule: { enabled: true, at: '02:30' }, keep: { daily: 7, weekly: 4, monthly: 12 }, wal: { enabled: true }, recipients: [], alarm_after_hours: 36, verify: true,
};
const nothing = () => ({ ...settings, target: { kind: 'none', has_secret: false } });

// Something that takes twelve seconds, as it stands now.
const stages = ['reading the audit trail’s heads', 'copying the databases', 'copying keys, settings and state', 'writing the summary'];
const grown = (one) => {
  if (!one.begun) return one;
  const { begun, ...rest } = one;
  const percent = Math.min(100, Math.floor((Date.now() - begun) / 120));
  if (percent < 100) return { ...rest, progress: { percent, stage: stages[Math.floor(percent / 26)] } };
  delete one.begun;
  return Object.assign(one, { state: 'done', finished_at: ago(0), bytes: 613_900_000, verified_at: one.state === 'verifying' ? ago(0) : one.verified_at });
};
const begin = (by, minutes = 0) => {
  list.unshift({ ...made(20 + list.length, minutes), kind: 'manual', by, state: 'running', finished_at: null, bytes: 0, verified_at: null, wal_to: '', begun: Date.now() });
  return list[0].id;
};

/** Backups and their settings. */
export const routes = [
  ['GET', /^\/v1\/system\/backups$/, ({ scenario }) => [200, { items: scenario.empty ? [] : (scenario.failing ? list.filter((one) => one.state === 'failed') : list).map(grown), next: null }]],
  ['POST', /^\/v1\/system\/backups$/, () => [202, { id: begin('Ada Berger') }]],
  ['POST', /^\/v1\/system\/backups\/prune$/, () => [200, { items: [] }]],
  ['GET', /^\/v1\/system\/backups\/settings$/, ({ scenario }) => [200, scenario.empty ? nothing() : settings]],
  ['PUT', /^\/v1\/system\/backups\/settings$/, ({ body }) => {
    const { secret, ...target } = body.target;
    settings = { ...body, target: { ...target, has_secret: Boolean(secret) || Boolean(target.has_secret) } };
    return [200, settings];
  }],
  ['POST', /^\/v1\/system\/backups\/settings\/test$/, ({ scenario }) => scenario.failing
    ? problem(422, 'invalid', 'The bucket nimbus-backups does not exist at s3.example.org. Create it, or correct its name.', [{ location: 'body.target.bucket', message: 'There is no such bucket.' }]) : [204]],
  ['POST', /^\/v1\/system\/backups\/([^/]+)\/verify$/, ({ params }) => {
    Object.assign(list.find((one) => one.id === params[0]), { state: 'verifying', verify_error: '', begun: Date.now() });
    return [202, {}];
  }],
  ['DELETE', /^\/v1\/system\/backups\/([^/]+)$/, ({ params }) => { list.splice(list.findIndex((one) => one.id === params[0]), 1); return [204]; }],
];
