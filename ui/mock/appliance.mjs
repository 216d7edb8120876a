// Made-up people, tenants, records and health.
import { problem } from './made-up.mjs';

const ago = (minutes) => new Date(Date.now() - minutes * 60_000).toISOString();
const ahead = (minutes) => ago(-minutes);
const id = (n) => `019ab2f0-7c1e-7d2a-9a64-${String(n).padStart(12, '0')}`;
const hash = (n) => Array.from({ length: 64 }, (_, at) => ((at * 7 + n * 13 + ((at * n) % 5)) % 16).toString(16)).join('');
const page = (items, next = null) => [200, { items, next }];

export const tenants = [
  { id: id(1), name: 'Provider Root', parent_id: null, is_root: true, description: 'Provider-level users', contact_email: 'ops@home.arpa', status: 'active', created_at: ago(90_000) },
  { id: id(2), name: 'Homelab', parent_id: id(1), is_root: false, description: 'The family’s services', contact_email: 'ada@home.arpa', status: 'active', created_at: ago(89_900) },
  { id: id(3), name: 'Workshop', parent_id: id(2), is_root: false, description: 'Build machines and experiments', contact_email: '', status: 'active', created_at: ago(30_000) },
];
export const users = [
  { id: id(11), name: 'Ada Berger', email: 'ada@home.arpa', status: 'active', roles: [{ id: id(21), name: 'Tenant administrator' }], last_sign_in_at: ago(4), created_at: ago(89_900) },
  { id: id(12), name: 'Jonas Weiß', email: 'jonas@home.arpa', status: 'active', roles: [{ id: id(23), name: 'Operator' }, { id: id(24), name: 'Approver' }], last_sign_in_at: ago(190), created_at: ago(50_000) },
  { id: id(13), name: 'Mira Okafor', email: 'mira@home.arpa', status: 'active', roles: [{ id: id(22), name: 'Read only' }], last_sign_in_at: null, created_at: ago(2_900) },
  { id: id(14), name: 'Old Contractor', email: 'contractor@example.org', status: 'disabled', roles: [], last_sign_in_at: ago(60_000), created_at: ago(80_000) },
];
export const roles = [
  { id: id(21), name: 'Tenant administrator', description: 'Everything inside one tenant', system: true, grants: [{ permission: '*:*:*', effect: 'allow', hard: false }] },
  { id: id(22), name: 'Read only', description: 'Sees everything, changes nothing', system: true, grants: [{ permission: '*:*:read', effect: 'allow', hard: false }] },
  { id: id(23), name: 'Operator', description: 'Runs deployments and power actions', system: false, grants: [{ permission: 'deployment:*:*', effect: 'allow', hard: false }, { permission: 'deployment:stack:approve', effect: 'deny', hard: false }, { permission: 'provider:guest:power', effect: 'allow', hard: false }] },
  { id: id(24), name: 'Approver', description: 'Decides about plans', system: false, grants: [{ permission: 'deployment:stack:approve', effect: 'allow', hard: false }, { permission: 'breakglass:session:*', effect: 'deny', hard: true }] },
];
const actors = [{ id: id(11), name: 'Ada Berger', kind: 'user' }, { id: id(12), name: 'Jonas Weiß', kind: 'user' }, { id: id(31), name: 'ci-runner', kind: 'api_token' }, { id: '', name: 'Nimbus', kind: 'system' }];
/** For whom the actor of a record acted. */
const forWhom = (sequence, actor) => actor.kind === 'api_token' ? { ...actors[1], claimed: false } : actor.kind === 'system' || sequence % 5 ? null : { id: '', name: 'olga', kind: 'os_user', claimed: true };
const whoActs = (sequence, outcome) => {
  const actor = actors[outcome === 'failure' ? 3 : sequence % 3];
  const other = forWhom(sequence, actor);
  if (other?.claimed) return [{ id: '', name: 'console', kind: 'console' }, other];
  return sequence % 4 ? [actor, other] : [{ id: '', name: 'PulumiDeployWorkflow', kind: 'system' }, { ...actors[0], claimed: false }];
};
const events = [
  ['identity.session.created', 'identity', 'success', 'session', ''],
  ['deployment.deployment.approved', 'deployment', 'success', 'deployment', 'web-cluster'],
  ['identity.session.refused', 'identity', 'failure', 'user', 'contractor@example.org'],
  ['permission.role.granted', 'permission', 'success', 'user', 'Jonas Weiß'],
  ['deployment.stack.updated', 'deployment', 'success', 'stack', 'web-cluster'],
  ['provider.guest.started', 'provider', 'success', 'vm', 'media-01'],
  ['permission.check.denied', 'permission', 'denied', 'stack', 'dns'],
  ['tenancy.tenant.created', 'tenancy', 'success', 'tenant', 'Workshop'],
];
/** One record of the audit trail, without its place in the chain. */
export const record = (sequence) => {
  const [event, category, outcome, kind, name] = events[sequence % events.length];
  const [actor, on_behalf_of] = whoActs(sequence, outcome);
  return {
    sequence, id: id(5000 + sequence), time: ago((4_312 - sequence) * 7), event, category,
    priority: outcome === 'success' ? 'info' : 'warning', outcome,
    actor, on_behalf_of,
    target: { kind, id: id(700 + (sequence % 9)), name },
    address: sequence % 3 ? '192.168.1.23' : '10.8.0.4', request_id: id(8000 + sequence),
    reason: outcome === 'denied' ? 'No role grants deployment:stack:update.' : '',
    changes: event.endsWith('updated') ? { before: { version: 6, memory: 2048, tags: ['web'] }, after: { version: 7, memory: 4096, tags: ['web', 'prod'] } } : event.endsWith('granted') ? { before: { roles: ['Operator'] }, after: { roles: ['Operator', 'Approver'] } } : null,
    details: event.endsWith('approved') ? { digest: hash(3).slice(0, 16), comment: 'Looked at the diff, fine.' } : {},
    hash: hash(sequence), previous_hash: hash(sequence - 1), sealed_at: ago((4_312 - sequence) * 7 - 0.01),
  };
};
const breakglass = { id: id(61), reason: 'Identity provider is down, restore needed', ends_at: ahead(41), user_name: 'Ada Berger' };
export const session = (scenario) => ({
  id: id(40), user: { id: id(11), name: 'Ada Berger', email: 'ada@home.arpa' }, tenant: { id: tenant.id, name: tenant.name, is_root: tenant.is_root },
  tenants: tenants.filter((each) => each.status === 'active').map(({ id, name, is_root }) => ({ id, name, is_root })), permissions: ['*:*:*'],
  signed_in_at: ago(52), authenticated_at: ago(52), expires_at: ahead(400),
  appliance: { name: 'nimbus-01', url: 'https://nimbus.home.arpa:8443', version: '0.1.0', time_zone: 'Europe/Berlin' },
  breakglass: scenario.breakglass ? breakglass : null, time_zone: 'Europe/Berlin',
  method: 'password', mfa: !scenario.enrol, mfa_required: Boolean(scenario.enrol), mfa_enrolment_required: Boolean(scenario.enrol),
});
/** Begins a session. */
export const begin = (scenario) => {
  signedIn = true;
  scenario.signed_out = false;
  return [201, session(scenario)];
};
export const activeTenant = () => tenant;
let tenant = tenants[1];
let signedIn = true;

const requests = (scenario) => [
  ...(scenario.breakglass
    ? [{ id: id(61), reason: breakglass.reason, minutes: 60, requested_by: users[0], created_at: ago(24), approvals: [{ user: users[0], at: ago(23) }, { user: users[1], at: ago(19) }], needed: 2, status: 'open', opened_at: ago(19), ends_at: ahead(41), ended_at: null }]
    : [{ id: id(63), reason: 'Storage node lost quorum, need root on the cluster', minutes: 30, requested_by: users[1], created_at: ago(3), approvals: [{ user: users[1], at: ago(2) }], needed: 2, status: 'pending', opened_at: null, ends_at: null, ended_at: null }]),
  { id: id(62), reason: 'Quarterly drill', minutes: 15, requested_by: users[1], created_at: ago(40_000), approvals: [{ user: users[0], at: ago(39_998) }, { user: users[1], at: ago(39_997) }], needed: 2, status: 'ended', opened_at: ago(39_997), ends_at: ago(39_982), ended_at: ago(39_985) },
];

/** Everything but set-up and infrastructure. */
export const routes = [
  ['GET', /^\/v1\/session$/, ({ scenario }) => signedIn && !scenario.signed_out && !scenario.setup ? [200, session(scenario)] : problem(401, 'unauthenticated', 'Sign in first.')],
  ['DELETE', /^\/v1\/session$/, () => { signedIn = false; return [204]; }],
  ['PUT', /^\/v1\/session\/tenant$/, ({ body, scenario }) => { tenant = tenants.find((each) => each.id === body.tenant_id); return [200, session(scenario)]; }],
  ['GET', /^\/v1\/sessions$/, () => page([{ id: id(40), address: '192.168.1.23', user_agent: 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36', signed_in_at: ago(52), last_seen_at: ago(0), expires_at: ahead(400), method: 'password', mfa: true, current: true }, { id: id(41), address: '10.8.0.4', user_agent: 'Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1', signed_in_at: ago(2_900), last_seen_at: ago(700), expires_at: ahead(90), method: 'passkey', mfa: true, current: false }])],
  ['DELETE', /^\/v1\/sessions\/.+$/, () => [204]],
  ['GET', /^\/v1\/tokens$/, ({ scenario }) => page(scenario.empty ? [] : [{ id: id(31), name: 'ci-runner', expires_at: ahead(100_000), created_at: ago(20_000), last_used_at: ago(33) }])],
  ['POST', /^\/v1\/tokens$/, ({ body }) => [201, { id: id(32), name: body.name, token: 'nbt_7Hq2vXk9LrT4mZpN8sWcY1bD6fGjK3uE', expires_at: ahead(body.expires_in_days * 1440) }]],
  ['DELETE', /^\/v1\/tokens\/.+$/, () => [204]],
  ['POST', /^\/v1\/tenants$/, ({ body }) => {
    if (tenants.some((each) => each.name === body.name)) return problem(409, 'conflict', `There is already a tenant called ${body.name}. Choose another name.`, [{ location: 'body.name', message: 'Already taken' }]);
    tenants.push({ id: id(100 + tenants.length), is_root: false, status: 'active', created_at: ago(0), description: '', contact_email: '', parent_id: id(1), ...body });
    return [201, tenants.at(-1)];
  }],
  ['POST', /^\/v1\/users$/, ({ body }) => {
    if (body.password.length < 12) return problem(422, 'invalid', 'The password is too short.', [{ location: 'body.password', message: 'Use at least 12 characters' }]);
    users.push({ id: id(200 + users.length), name: body.name, email: body.email, status: 'active', roles: roles.filter((role) => body.role_ids.includes(role.id)), last_sign_in_at: null, created_at: ago(0) });
    return [201, users.at(-1)];
  }],
  ['PATCH', /^\/v1\/users\/([^/]+)$/, ({ params, body }) => [200, Object.assign(users.find((each) => each.id === params[0]), body)]],
  ['POST', /^\/v1\/users\/([^/]+)\/roles$/, ({ params, body }) => { users.find((each) => each.id === params[0]).roles.push(roles.find((role) => role.id === body.role_id)); return [204]; }],
  ['DELETE', /^\/v1\/users\/([^/]+)\/roles\/([^/]+)$/, ({ params }) => { const user = users.find((each) => each.id === params[0]); user.roles = user.roles.filter((role) => role.id !== params[1]); return [204]; }],
  ['GET', /^\/v1\/roles$/, ({ scenario }) => page(scenario.empty ? [] : roles)],
  ['DELETE', /^\/v1\/roles\/([^/]+)$/, ({ params }) => { roles.splice(roles.findIndex((role) => role.id === params[0]), 1); return [204]; }],
  ['GET', /^\/v1\/breakglass$/, ({ scenario }) => [200, { hsm: { state: scenario.empty ? 'none' : 'ready', reason: '', label: 'nimbus', key_type: 'EC P-256' }, active: scenario.breakglass ? breakglass : null, requests: scenario.empty ? [] : requests(scenario) }]],
  ['POST', /^\/v1\/breakglass\/requests$/, () => [201, {}]],
  ['POST', /^\/v1\/breakglass\/requests\/[^/]+\/approve$/, ({ body }) => body.password === 'wrong' ? problem(401, 'unauthenticated', 'The password is wrong. Try again.') : [200, {}]],
  ['POST', /^\/v1\/breakglass\/requests\/[^/]+\/end$/, ({ scenario }) => { scenario.breakglass = false; return [204]; }],
  ['GET', /^\/v1\/system\/health$/, ({ scenario }) => [200, { status: scenario.breakglass ? 'degraded' : 'ok', version: '0.1.0', started_at: ago(3_411), components: [
    { name: 'postgres', status: 'ok', message: '18.4, embedded', since: ago(3_411) },
    { name: 'temporal', status: scenario.breakglass ? 'down' : 'ok', message: scenario.breakglass ? 'Does not answer on its port since 4 minutes. It is restarted with a growing delay; nothing to do.' : 'namespace nimbus, 4 shards', since: ago(scenario.breakglass ? 4 : 3_410) },
    { name: 'valkey', status: 'ok', message: 'in-process', since: ago(3_411) },
    { name: 'hsm', status: scenario.breakglass ? 'degraded' : 'ok', message: scenario.breakglass ? 'The token answers slowly (2.1 s).' : 'SoftHSM v2, token nimbus', since: ago(3_400) },
    { name: 'pulumi', status: 'ok', message: '3.209.0, provider proxmoxve 0.93', since: ago(3_411) },
    { name: 'realtime', status: 'ok', message: '3 connections', since: ago(3_411) },
  ] }]],
];
