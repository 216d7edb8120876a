// Made-up findings of the doctor, workflows and schedules.
import { problem } from './made-up.mjs';

const ago = (minutes) => new Date(Date.now() - minutes * 60_000).toISOString();
const ahead = (minutes) => ago(-minutes);
const id = (n) => `019ab2f4-7a8b-7c9d-8e0f-${String(n).padStart(12, '0')}`;

const find = (check, group, status, summary, advice = '', measured = {}) => ({ check, group, status, summary, advice, measured });
const well = [
  find('disk.data', 'machine', 'ok', '41.2 GiB of 64.0 GiB (64 %) are free at /var/lib/nimbus.', '', { free_bytes: 44_238_000_000, size_bytes: 68_719_000_000, path: '/var/lib/nimbus' }),
  find('memory', 'machine', 'ok', '2.9 GiB of 4.0 GiB memory are available.', '', { total_bytes: 4_294_967_296 }),
  find('clock', 'machine', 'ok', 'The clock is kept by a time server.', '', { synchronised: true, moved_ms: 0 }),
  find('port', 'network', 'ok', 'The port 8443 answers with our certificate.'),
  find('postgres', 'service', 'ok', 'Postgres answers in 1 ms; 14 of 100 connections are used.', '', { connections: 14 }),
  find('temporal', 'service', 'ok', 'Temporal answers, and a worker takes what is to be done.'),
  find('schema', 'data', 'ok', 'The tables are those of this version.'),
  find('audit.sealer', 'proof', 'ok', 'The newest record was sealed 0.2 s after it was made.'),
  find('proxmox', 'outside', 'ok', 'Both connections have the privileges that they need.'),
  find('otlp', 'outside', 'unknown', 'Traces are sent nowhere: no endpoint is set.'),
];
const worse = [
  find('certificate', 'network', 'warning', 'The certificate ends in 9 days.', 'Upload its successor under Certificate, or let Nimbus get one by ACME.', { days: 9, names: ['nimbus.home.arpa'] }),
  find('backup.age', 'data', 'failed', 'The newest backup is 3 days old; the alarm is at 36 hours.', 'Look at Backups why none was made since, and test the place where they go.', { hours: 74 }),
  find('mail', 'outside', 'warning', 'No mail server is set up.', 'Enter one under Mail, so that invitations and alarms reach people.'),
];
const report = (scenario) => ({ checked_at: ago(1), running: true, items: scenario.empty ? well : [...well, ...worse] });

const types = ['PulumiDeployWorkflow', 'InventorySyncWorkflow', 'AuditCheckpointWorkflow', 'AuditArchiveWorkflow', 'BackupWorkflow', 'AnomalyDetectionWorkflow'];
const states = ['running', 'completed', 'completed', 'failed', 'completed', 'canceled', 'completed'];
const workflows = Array.from({ length: 40 }, (_, at) => ({
  id: `${types[at % 6].replace('Workflow', '').toLowerCase()}-${id(at)}`, run_id: id(500 + at), type: types[at % 6], status: states[at % 7],
  started_at: ago(at * 17 + 2), closed_at: states[at % 7] === 'running' ? null : ago(at * 17 + 1), history_length: 11 + ((at * 7) % 90),
}));
const schedules = [
  { id: 'audit-anomaly', workflow: 'AnomalyDetectionWorkflow', spec: 'every 1h0m0s', next_at: ahead(21), last_at: ago(39), paused: false, note: '' },
  { id: 'audit-archive', workflow: 'AuditArchiveWorkflow', spec: 'at 02:30', next_at: ahead(930), last_at: ago(510), paused: false, note: '' },
  { id: 'audit-checkpoint', workflow: 'AuditCheckpointWorkflow', spec: 'every 10m0s', next_at: ahead(4), last_at: ago(6), paused: false, note: '' },
  { id: 'backup', workflow: 'BackupWorkflow', spec: 'at 02:30', next_at: null, last_at: ago(4_300), paused: true, note: 'Paused by Ada Berger' },
  { id: 'inventory-019ab2f0', workflow: 'InventorySyncWorkflow', spec: 'every 30s', next_at: ahead(0.3), last_at: ago(0.2), paused: false, note: '' },
];
const change = (wanted, then) => { const one = schedules.find((each) => each.id === wanted); if (!one) return problem(404, 'not_found', 'There is no such schedule.'); then(one); return [204]; };

/** The doctor, what runs inside, and what runs by itself. */
export const routes = [
  ['GET', /^\/v1\/system\/doctor$/, ({ scenario }) => [200, report(scenario)]],
  ['POST', /^\/v1\/system\/doctor\/run$/, ({ scenario }) => [200, { ...report(scenario), checked_at: ago(0) }]],
  ['POST', /^\/v1\/system\/support-bundle$/, () => [200, Buffer.from('gzip')]],
  ['GET', /^\/v1\/system\/workflows$/, ({ scenario, query }) => {
    const all = scenario.empty ? [] : workflows.filter((one) => (!query.get('status') || one.status === query.get('status')) && (!query.get('type') || one.type === query.get('type')));
    const from = Number(query.get('cursor') || 0);
    return [200, { items: all.slice(from, from + 20), next: from + 20 < all.length ? String(from + 20) : '' }];
  }],
  ['GET', /^\/v1\/system\/workflows\/([^/]+)$/, ({ params }) => {
    const one = workflows.find((each) => each.id === decodeURIComponent(params[0]));
    if (!one) return problem(404, 'not_found', 'There is no such workflow, or it was forgotten. Go back to the list.');
    const pending = one.status === 'running' ? [{ type: 'preview', state: 'scheduled', attempt: 3, next_at: ahead(1), last_failure: 'provider.unreachable' }] : [];
    return [200, { ...one, pending_activities: pending, failure: one.status === 'failed' ? 'deployment.refused' : '' }];
  }],
  ['GET', /^\/v1\/system\/schedules$/, ({ scenario }) => [200, { items: scenario.empty ? [] : schedules }]],
  ['POST', /^\/v1\/system\/schedules\/([^/]+)\/pause$/, ({ params }) => change(params[0], (one) => Object.assign(one, { paused: true, note: 'Paused by Ada Berger' }))],
  ['POST', /^\/v1\/system\/schedules\/([^/]+)\/resume$/, ({ params }) => change(params[0], (one) => Object.assign(one, { paused: false, note: '' }))],
  ['POST', /^\/v1\/system\/schedules\/([^/]+)\/trigger$/, ({ params }) => change(params[0], (one) => Object.assign(one, { last_at: ago(0) }))],
];
