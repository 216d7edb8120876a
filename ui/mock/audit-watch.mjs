// Made-up sinks, anomalies, the compliance dashboard and the mail server.
import { ago, id, page, problem } from './made-up.mjs';

const ahead = (minutes) => ago(-minutes);
const filter = (events = [], min_priority = '', categories = [], outcomes = []) => ({ events, categories, min_priority, outcomes });
const plain = { url: '', address: '', transport: '', ca_pem: '', client_cert_pem: '', has_secret: false, has_authorization: false, has_client_key: false, enabled: true, batch_size: 100 };
const health = (state, more = {}) => ({ state, last_success: ago(0.3), last_error: '', lag: 0, sent: 4312, dead: 0, retry_at: null, ...more });
const sinks = [
  { ...plain, id: id(1301), name: 'Security operations', kind: 'webhook', filter: filter(), format: 'json', url: 'https://siem.okafor.example/services/collector/nimbus', has_secret: true, has_authorization: true, cursor: 4312, health: health('ok', { dead: 3 }) },
  { ...plain, id: id(1302), name: 'Wazuh', kind: 'syslog', filter: filter(['identity', 'permission.check.denied'], 'notice', ['identity', 'permission'], ['denied', 'failure']), format: 'rfc5424', address: 'wazuh.home.arpa:6514', transport: 'tls', ca_pem: '-----BEGIN CERTIFICATE-----\nMIIBszCCAVmgAwIBAgIUQ2VydGlmaWNhdGU=\n-----END CERTIFICATE-----', cursor: 3907, health: health('retrying', { last_success: ago(38), last_error: 'The certificate of wazuh.home.arpa is from an authority that is not known. Enter the authority, or correct the certificate.', lag: 405, sent: 988, retry_at: ahead(2) }) },
  { ...plain, id: id(1303), name: 'Graylog (old)', kind: 'syslog', enabled: false, filter: filter(), format: 'cef', address: '192.168.40.7:514', transport: 'udp', cursor: 2100, health: health('paused', { last_success: ago(20_000), lag: 2212, sent: 2100 }) },
];
const letters = [
  { id: id(1311), first: 3021, last: 3021, reason: 'The collector answered 413: the event is larger than it takes.', attempts: 6, due: false, created_at: ago(900) },
  { id: id(1312), first: 3377, last: 3379, reason: 'The collector answered 400: “field target.kind: unknown value”.', attempts: 6, due: false, created_at: ago(610) },
  { id: id(1313), first: 4001, last: 4001, reason: 'The collector answered 413: the event is larger than it takes.', attempts: 7, due: true, created_at: ago(90) },
];
const finding = (n, kind, severity, state, subject, summary, count, more = {}) => ({ id: id(1320 + n), kind, severity, state, subject, summary, evidence_chain: 'own', evidence: Array.from({ length: Math.min(count, 14) }, (_, at) => 4300 - n * 31 - at * 2), first_at: ago(n * 700 + 90), last_at: ago(n * 700 + 4), count, suppressed: 0, decided_by: null, decided_at: null, note: '', ...more });
const mira = { kind: 'user', id: id(13), name: 'Mira Okafor' };
const findings = [
  finding(0, 'privilege_escalation', 'critical', 'open', { kind: 'user', id: id(12), name: 'Jonas Weiß' }, 'Jonas Weiß gave the role Tenant administrator to themselves.', 1),
  finding(1, 'brute_force', 'high', 'open', { kind: 'address', id: '203.0.113.77', name: '203.0.113.77' }, '214 refused sign-ins from 203.0.113.77 within 10 minutes, at 31 accounts.', 214, { evidence_chain: 'provider' }),
  finding(2, 'new_address', 'low', 'open', mira, 'Mira Okafor signed in from 198.51.100.0/24, a network that was never seen for her.', 2),
  finding(3, 'bulk_read', 'medium', 'acknowledged', { kind: 'service_account', id: id(820), name: 'CI runner' }, 'CI runner read 612 records within an hour; usual are 40.', 612, { decided_by: { id: id(11), name: 'Ada Berger' }, decided_at: ago(1_900), note: 'The yearly export for the auditor, announced by mail.' }),
  finding(4, 'unusual_time', 'low', 'false_positive', mira, 'Mira Okafor signed in at 03:12; fewer than 3 % of her sign-ins are at this hour.', 1, { decided_by: { id: id(11), name: 'Ada Berger' }, decided_at: ago(2_700), note: 'On call that week.', suppressed: 4 }),
];
let rules = [
  ['brute_force', { account_failures: 10, address_failures: 25, window_minutes: 10 }], ['unusual_time', { learn_days: 14, min_sign_ins: 10, rare_percent: 3 }],
  ['new_address', { learn_days: 7, min_sign_ins: 5 }], ['privilege_escalation', { learn_days: 3 }], ['bulk_read', { reads: 200, exports: 5, window_minutes: 60 }],
  ['failure_spike', { factor: 4, min_failures: 20, learn_hours: 72 }],
].map(([kind, parameters]) => ({ kind, enabled: kind !== 'unusual_time', parameters }));
const days = Array.from({ length: 30 }, (_, at) => ({ day: ago((29 - at) * 1440).slice(0, 10), count: at === 21 ? 214 : (at * 7919) % 13 }));
const dashboard = (empty) => ({
  from: ago(43_200), to: ago(0), time_zone: 'Europe/Berlin',
  privileged: empty ? [] : [
    { kind: 'user', id: id(11), name: 'Ada Berger', permissions: ['*:*:*'], via: 'Tenant administrator', conditional: false },
    { kind: 'user', id: id(12), name: 'Jonas Weiß', permissions: ['permission:role:grant', 'identity:user:update', 'identity:user:create', 'approval:policy:update', 'audit:retention:update'], via: 'Operator, through Night shift', conditional: true },
    { kind: 'service_account', id: id(820), name: 'CI runner', permissions: ['deployment:deployment:*'], via: 'direct grant', conditional: false },
  ],
  failed_sign_ins: { total: empty ? 0 : days.reduce((sum, day) => sum + day.count, 0), by_day: days.map((day) => (empty ? { ...day, count: 0 } : day)) },
  changes_without_approval: { count: empty ? 0 : 2, items: empty ? [] : [
    { sequence: 4107, time: ago(1_400), actor: 'Jonas Weiß', kind: 'stack', id: id(51), name: 'web-cluster', operation: 'deploy', why: 'The asker approved it themselves.' },
    { sequence: 3820, time: ago(3_300), actor: 'CI runner', kind: 'stack', id: id(52), name: 'dns', operation: 'destroy', why: 'Nobody approved it: break-glass was open.' },
  ] },
  break_glass: empty ? [] : [{ id: id(61), user: 'Ada Berger', requested_by: 'Ada Berger', reason: 'Identity provider is down, restore needed', minutes: 60, status: 'ended', approvers: ['Ada Berger', 'Jonas Weiß'], signed_with: 'hsm nimbus', requested_at: ago(3_340), opened_at: ago(3_330), ended_at: ago(3_290), actions: 17, evidence: [3811, 3813, 3840] }],
  coverage: empty ? { records: 12, checkpointed: 0, published: 0, signed_at: null, published_at: null, oldest_unpublished: null, key_kind: 'none', verified_at: null, ok: null } : { records: 4312, checkpointed: 4312, published: 4275, signed_at: ago(2), published_at: ago(62), oldest_unpublished: ago(2), key_kind: 'hsm', verified_at: ago(700), ok: true },
  open_anomalies: { total: 3, critical: 1 },
  score: [
    ['checkpoint_published', !empty, empty ? 'No checkpoint was published yet. Without one nobody outside can see a rewrite of the whole chain.' : 'The last checkpoint was published an hour ago; one in 24 hours is asked for.'],
    ['chain_verified', !empty, empty ? 'The chain was never verified.' : 'The last verification found no break; one in seven days is asked for.'],
    ['signing_key', !empty, empty ? 'No checkpoint was signed yet.' : 'Checkpoints are signed by a key in a hardware security module.'],
    ['no_critical_anomaly', empty, empty ? '0 critical findings are open.' : '1 critical findings are open, 3 in all.'],
    ['changes_approved', empty, '2 executions in the period were not approved by a second person.'],
    ['no_break_glass', empty, 'Break-glass was asked for 1 times in the period.'],
    ['mfa_for_administrators', false, 'A second factor is required for nobody.'], ['second_person_approves', true, 'Somebody else has to approve.'],
    ['passwords', true, 'Passwords have 12 characters at least; known ones are refused.'], ['root_key', true, 'The root key of all secrets is kept in: hsm.'],
  ].map(([check, ok, detail]) => ({ check, ok, detail, fix: '' })),
});
let mail = { host: 'mail.home.arpa', port: 587, security: 'starttls', username: 'nimbus', has_password: true, from_address: 'nimbus@home.arpa', from_name: 'Nimbus' };
const noMail = { host: '', port: 0, security: '', username: '', has_password: false, from_address: '', from_name: '' };
const find = (list, wanted, then) => { const found = list.find((each) => each.id === wanted); return found ? then(found) : problem(404, 'not_found', 'It does not exist, or it is not yours.'); };
const decide = (state) => ({ params, body }) => find(findings, params[0], (one) => [200, Object.assign(one, { state, note: body.note, decided_by: state === 'open' ? null : { id: id(11), name: 'Ada Berger' }, decided_at: state === 'open' ? null : ago(0) })]);

/** What watches the record, and mail. */
export const routes = [
  ['GET', /^\/v1\/audit\/sinks$/, ({ scenario }) => page(scenario.empty ? [] : sinks)],
  ['POST', /^\/v1\/audit\/sinks$/, ({ body: { secret, authorization, client_key_pem, ...body } }) => {
    if (body.url?.includes('127.0.0.1')) return problem(422, 'invalid', 'This address is not allowed.', [{ location: 'body.url', message: 'Private addresses are reached only when an administrator allows them.' }]);
    sinks.push({ ...plain, ...body, id: id(1390 + sinks.length), has_secret: Boolean(secret), has_authorization: Boolean(authorization), has_client_key: Boolean(client_key_pem), cursor: 4312, health: health('ok', { sent: 0, last_success: null }) });
    return [201, sinks.at(-1)];
  }],
  ['GET', /^\/v1\/audit\/sinks\/([^/]+)$/, ({ params }) => find(sinks, params[0], (one) => [200, one])],
  ['PATCH', /^\/v1\/audit\/sinks\/([^/]+)$/, ({ params, body: { secret, authorization, client_key_pem, ...body } }) => find(sinks, params[0], (one) => { Object.assign(one, body); if ('enabled' in body) one.health.state = body.enabled ? 'ok' : 'paused'; return [200, { ...one }]; })],
  ['DELETE', /^\/v1\/audit\/sinks\/([^/]+)$/, ({ params }) => { sinks.splice(sinks.findIndex((each) => each.id === params[0]), 1); return [204]; }],
  ['POST', /^\/v1\/audit\/sinks\/([^/]+)\/test$/, ({ params }) => params[0] === id(1302) ? problem(503, 'unavailable', 'The certificate of wazuh.home.arpa is from an authority that is not known. Enter the authority, or correct the certificate.') : [204]],
  ['POST', /^\/v1\/audit\/sinks\/([^/]+)\/replay$/, () => [202, {}]],
  ['GET', /^\/v1\/audit\/sinks\/([^/]+)\/dead-letters$/, ({ params }) => page(params[0] === id(1301) ? letters : [])],
  ['POST', /^\/v1\/audit\/sinks\/([^/]+)\/dead-letters\/replay-all$/, () => { letters.forEach((one) => (one.due = true)); return [202, {}]; }],
  ['POST', /^\/v1\/audit\/sinks\/([^/]+)\/dead-letters\/([^/]+)\/replay$/, ({ params }) => find(letters, params[1], (one) => { one.due = true; return [202, {}]; })],
  ['DELETE', /^\/v1\/audit\/sinks\/([^/]+)\/dead-letters\/([^/]+)$/, ({ params }) => { letters.splice(letters.findIndex((each) => each.id === params[1]), 1); return [204]; }],
  ['GET', /^\/v1\/audit\/anomalies\/rules$/, () => page(rules)],
  ['PUT', /^\/v1\/audit\/anomalies\/rules$/, ({ body }) => page((rules = body.items))],
  ['POST', /^\/v1\/audit\/anomalies\/run$/, () => [202, { started: true }]],
  ['GET', /^\/v1\/audit\/anomalies$/, ({ query, scenario }) => page(scenario.empty ? [] : findings.filter((one) => (!query.get('state') || one.state === query.get('state')) && (!query.get('kind') || one.kind === query.get('kind'))))],
  ['GET', /^\/v1\/audit\/anomalies\/([^/]+)$/, ({ params }) => find(findings, params[0], (one) => [200, { ...one }])],
  ['POST', /^\/v1\/audit\/anomalies\/([^/]+)\/acknowledge$/, decide('acknowledged')],
  ['POST', /^\/v1\/audit\/anomalies\/([^/]+)\/false-positive$/, decide('false_positive')],
  ['POST', /^\/v1\/audit\/anomalies\/([^/]+)\/reopen$/, decide('open')],
  ['GET', /^\/v1\/audit\/compliance$/, ({ scenario }) => [200, dashboard(scenario.empty)]],
  ['GET', /^\/v1\/audit\/compliance\/reports\/[a-z-]+\.(html|csv)$/, () => [200, Buffer.from('report')]],
  ['GET', /^\/v1\/system\/mail$/, ({ scenario }) => [200, scenario.empty ? noMail : mail]],
  ['PUT', /^\/v1\/system\/mail$/, ({ body: { password, ...body } }) => [200, (mail = { ...body, has_password: password === undefined ? mail.has_password : password !== '' })]],
  ['DELETE', /^\/v1\/system\/mail$/, () => { mail = noMail; return [204]; }],
  ['POST', /^\/v1\/system\/mail\/test$/, ({ scenario }) => scenario.failing ? problem(503, 'unavailable', 'mail.home.arpa answered: 535 5.7.8 authentication failed. Correct the user name and password.') : [204]],
];
