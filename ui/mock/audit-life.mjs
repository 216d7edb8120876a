// Made-up retention, holds, redaction, archive and checkpoints.
import { vkey as first } from './audit.mjs';
import { ago, id, page, problem } from './made-up.mjs';

const hex = (n, length = 64) => Array.from({ length }, (_, at) => ((at * 7 + n * 13 + ((at * n) % 5)) % 16).toString(16)).join('');
const base64 = (n) => Buffer.from(hex(n), 'hex').toString('base64');
const ada = { id: id(11), name: 'Ada Berger' };
const types = [
  ['identity.session.created', 'identity', 'info', 'signed in; details has the method'], ['identity.session.refused', 'identity', 'warning', 'a sign-in failed'],
  ['identity.user.created', 'identity', 'notice', 'somebody was made'], ['identity.user.updated', 'identity', 'notice', 'renamed, disabled or enabled'],
  ['permission.role.granted', 'permission', 'warning', 'a role was given'], ['permission.check.denied', 'permission', 'warning', 'something was refused'],
  ['deployment.run.started', 'deployment', 'notice', 'a run began'], ['deployment.stack.updated', 'deployment', 'notice', 'a stack was changed'],
  ['breakglass.session.opened', 'breakglass', 'critical', 'raised rights began'], ['audit.records.pruned', 'audit', 'warning', 'records were deleted after their time'],
].map(([code, category, priority, description]) => ({ code, category, priority, description }));

let retention = { default_days: 730, rules: [{ event: 'identity.session', days: 365 }, { event: 'permission', days: null }, { event: 'deployment.run', days: 20 }], archive_after_days: 30, prune_enabled: true };
const holds = [
  { id: id(1001), name: 'Case 2026-114', reason: 'Dismissal protection suit; the lawyers asked for everything about this account.', from: ago(200_000), to: ago(20_000), filter: { actor: id(14), target: '', event: '' }, created_by: ada, created_at: ago(19_000), released_at: null },
  { id: id(1002), name: 'Incident of October', reason: 'Insurance wants the sign-ins.', from: ago(90_000), to: null, filter: { event: 'identity.session' }, created_by: ada, created_at: ago(70_000), released_at: null },
  { id: id(1003), name: 'Tax audit', reason: 'Asked for by the tax office.', from_sequence: 1, to_sequence: 900, filter: {}, created_by: ada, created_at: ago(300_000), released_at: ago(100_000), released_by: ada, release_reason: 'The audit is over, letter of 3 March.' },
];
const builtin = ['Passwords', 'Tokens and API keys', 'Private keys', 'Secrets of providers', 'Session cookies', 'Recovery codes'].map((name) => ({ name, kind: 'field', match: name.toLowerCase(), scope: 'all', enabled: true }));
let rules = [
  { id: id(1011), name: 'Phone numbers', kind: 'field', match: 'phone', scope: 'identity.user', enabled: true },
  { id: id(1012), name: 'Bank accounts', kind: 'pattern', match: '[A-Z]{2}[0-9]{20}', scope: 'all', enabled: true },
  { id: id(1013), name: 'Card numbers', kind: 'pattern', match: '([0-9]{4} ){3}[0-9]{4}', scope: 'all', enabled: false },
];
let target = { kind: 's3', path: '', endpoint: 's3.home.arpa:9000', bucket: 'nimbus-audit', region: 'garage', prefix: 'homelab/', access_key: 'GK31c2f218a2e44f485b94239e', has_secret: true, ran_at: ago(300), failed_at: null, error: '' };
const states = ['written', 'verified', 'damaged', 'verified', 'pruned'];
const segments = Array.from({ length: 16 }, (_, at) => {
  const last = 4096 - at * 256;
  return { id: id(1020 + at), first: last - 255, last, records: 256, bytes: 61_000 + at * 911, sha256: hex(at + 3), key: `audit/homelab/${String(last - 255).padStart(10, '0')}-${String(last).padStart(10, '0')}.ndjson.zst`, place: 's3 s3.home.arpa:9000/nimbus-audit/homelab/', state: states[at] ?? 'pruned', error: at === 2 ? 'Its hash is not the one that was written. Something changed it where it lies.' : '', pruned: at > 3 ? 256 : at === 3 ? 41 : 0, created_at: ago(300 + at * 43_000), verified_at: at ? ago(299 + at * 43_000) : null, pruned_at: at > 3 ? ago(200 + at * 43_000) : null };
});
const origin = `nimbus/${id(1)}/${id(2)}`;
const vkey = (n) => `${origin}+${hex(n, 8)}+${base64(n)}`;
const keys = [
  { name: origin, vkey: first, algorithm: 'ECDSA P-256', kind: 'hsm', created_at: ago(40_000), retired_at: null },
  { name: origin, vkey: vkey(9), algorithm: 'Ed25519', kind: 'file', created_at: ago(90_000), retired_at: ago(40_000) },
];
let places = [
  { id: id(1031), kind: 'email', enabled: true, to: ['auditor@okafor.example', 'notary@example.org'] },
  { id: id(1032), kind: 'syslog', enabled: true, address: 'witness.example.org:6514', transport: 'tls', format: 'rfc5424', ca_pem: '' },
  { id: id(1033), kind: 'object', enabled: true, endpoint: 's3.example.org', bucket: 'witness', region: '', prefix: 'nimbus/', access_key: 'AKIA', has_secret: true },
  { id: id(1034), kind: 'file', enabled: false, path: '/mnt/usb/checkpoints' },
];
let interval = 10;
const note = (size) => `${origin}\n${size}\n${base64(size)}\n\n— ${origin} ${base64(size + 1)}${base64(size + 2)}\n`;
const checkpoints = Array.from({ length: 8 }, (_, at) => {
  const size = 4312 - at * 37;
  const published = at === 7 ? [] : places.slice(0, 3).map((place, n) => ({ place: ['auditor@okafor.example', 'witness.example.org:6514', 'object witness'][n], at: (at === 0 && n === 2) || (at === 2 && n === 1) ? null : ago(at * 60), error: at === 2 && n === 1 ? 'The receiver did not answer within 5 seconds.' : '' }));
  return { id: id(1040 + at), size, root: base64(size), note: note(size), key_kind: at < 6 ? 'hsm' : 'file', key_name: origin, algorithm: at < 6 ? 'ECDSA P-256' : 'Ed25519', created_at: ago(at * 60 + 2), published };
});
const archived = (last) => ({ sequence: last, time: ago((4312 - last) * 7), event: types[last % types.length].code, outcome: ['success', 'success', 'denied', 'failure'][last % 4], actor: ada, target: { kind: 'user', id: id(13), }, target_name: 'Mira Okafor', address: '192.168.1.23' });
const find = (list, wanted, then) => { const found = list.find((each) => each.id === wanted); return found ? then(found) : problem(404, 'not_found', 'It does not exist, or it is not yours.'); };

function redacted({ sample, rules: asked }) {
  const fields = ['password', 'token', 'secret', ...asked.filter((rule) => rule.enabled && rule.kind === 'field').map((rule) => rule.match)];
  const patterns = asked.filter((rule) => rule.enabled && rule.kind === 'pattern').map((rule) => new RegExp(rule.match, 'g'));
  const walk = (value) => {
    if (typeof value === 'string') return patterns.reduce((text, pattern) => text.replace(pattern, '••••••'), value);
    if (Array.isArray(value)) return value.map(walk);
    if (value && typeof value === 'object') return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, fields.includes(key) ? '••••••' : walk(inner)]));
    return value;
  };
  return walk(sample);
}

function records({ params, query }) {
  return find(segments, params[0], (segment) => {
    const all = Array.from({ length: 40 }, (_, at) => archived(segment.last - at));
    const wanted = (record) => (!query.get('event') || record.event.startsWith(query.get('event'))) && (!query.get('q') || JSON.stringify(record).includes(query.get('q')));
    return page(all.filter(wanted));
  });
}

/** Life of the records and what proves them. */
export const routes = [
  ['GET', /^\/v1\/audit\/retention$/, ({ scenario }) => [200, scenario.empty ? { default_days: null, rules: [], archive_after_days: 30, prune_enabled: false } : retention]],
  ['PUT', /^\/v1\/audit\/retention$/, ({ body }) => [200, (retention = body)]],
  ['GET', /^\/v1\/audit\/holds$/, ({ scenario }) => page(scenario.empty ? [] : holds)],
  ['POST', /^\/v1\/audit\/holds$/, ({ body }) => { holds.unshift({ id: id(1100 + holds.length), created_by: ada, created_at: ago(0), released_at: null, ...body }); return [201, holds[0]]; }],
  ['DELETE', /^\/v1\/audit\/holds\/([^/]+)$/, ({ params, query }) => find(holds, params[0], (one) => { Object.assign(one, { released_at: ago(0), released_by: ada, release_reason: query.get('reason') }); return [204]; })],
  ['GET', /^\/v1\/audit\/redaction$/, ({ scenario }) => [200, { rules: scenario.empty ? [] : rules, builtin }]],
  ['PUT', /^\/v1\/audit\/redaction$/, ({ body }) => [200, { rules: (rules = body.rules), builtin }]],
  ['POST', /^\/v1\/audit\/redaction\/test$/, ({ body }) => { try { return [200, { result: redacted(body) }]; } catch { return problem(422, 'invalid', 'A pattern is not a regular expression. Correct it.'); } }],
  ['GET', /^\/v1\/audit\/archive\/target$/, ({ scenario }) => [200, scenario.empty ? { kind: 'none', has_secret: false, ran_at: null, failed_at: null, error: '' } : scenario.failing ? { ...target, failed_at: ago(1_700), error: 'The bucket answers 403 Forbidden when something is written.', waiting: 48_213, waits_for: ['Splunk', 'rsyslog in the cellar'] } : target]],
  ['PUT', /^\/v1\/audit\/archive\/target$/, ({ body: { secret, ...body } }) => [200, (target = { ...body, has_secret: Boolean(secret) || target.has_secret })]],
  ['POST', /^\/v1\/audit\/archive\/target\/test$/, ({ scenario }) => scenario.failing ? problem(503, 'unavailable', 'The bucket answers 403 Forbidden when something is written. Give the key the right to put objects there.') : [204]],
  ['GET', /^\/v1\/audit\/archive\/segments$/, ({ scenario }) => page(scenario.empty ? [] : segments)],
  ['GET', /^\/v1\/audit\/archive\/segments\/([^/]+)\/records$/, records],
  ['GET', /^\/v1\/audit\/archive\/segments\/([^/]+)\/content$/, () => [200, Buffer.from('zstd')]],
  ['POST', /^\/v1\/audit\/archive\/run$/, () => [202, { id: id(1099) }]],
  ['GET', /^\/v1\/audit\/signer$/, ({ scenario }) => [200, scenario.empty ? { kind: 'none', state: 'none', reason: '', since: null, pending_checkpoints: 0 } : scenario.failing ? { kind: 'hsm', state: 'failing', reason: 'The token “nimbus” is not in its slot. Put it back; nothing else has to be done.', since: ago(47), pending_checkpoints: 5 } : { kind: scenario.breakglass ? 'file' : 'hsm', state: 'ready', reason: '', since: ago(40_000), pending_checkpoints: 0 }]],
  ['GET', /^\/v1\/audit\/keys$/, ({ scenario }) => page(scenario.empty ? [] : keys)],
  ['GET', /^\/v1\/audit\/checkpoints$/, ({ scenario }) => page(scenario.empty ? [] : checkpoints)],
  ['POST', /^\/v1\/audit\/checkpoints$/, ({ scenario }) => scenario.failing ? problem(503, 'unavailable', 'The token “nimbus” is not in its slot. Put it back, then try again.') : [201, checkpoints[0]]],
  ['GET', /^\/v1\/audit\/publication$/, ({ scenario }) => [200, { interval_minutes: interval, places: scenario.empty ? [] : places }]],
  ['PUT', /^\/v1\/audit\/publication$/, ({ body }) => { interval = body.interval_minutes; places = body.places.map((place, at) => ({ ...place, id: place.id.startsWith('0000') ? id(1200 + at) : place.id, has_secret: place.has_secret || Boolean(place.secret), secret: undefined })); return [200, { interval_minutes: interval, places }]; }],
  ['POST', /^\/v1\/audit\/publication\/places\/([^/]+)\/test$/, ({ scenario }) => scenario.failing ? problem(503, 'unavailable', 'The receiver did not answer within 5 seconds. Look whether it listens on this port.') : [204]],
];
