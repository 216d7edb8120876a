// Made-up tenants with everything about them: settings, quotas, domains, compartments.
import { activeTenant, tenants } from './appliance.mjs';
import { ago, id, page, problem } from './made-up.mjs';

const ahead = (minutes) => ago(-minutes);
const base = tenants[0].id.slice(0, -12);
const tenantId = (n) => base + String(n).padStart(12, '0');
const tenant = (n, name, parent, description, more = {}) => ({
  id: tenantId(n), name, parent_id: tenantId(parent), is_root: false, description, contact_email: '', status: 'active', created_at: ago(20_000 + n * 37),
  deleted_at: null, purge_at: null, suspended_reason: '', ...more,
});
tenants.push(
  tenant(4, 'Okafor & Söhne', 1, 'Customer: joinery, 14 people', { contact_email: 'it@okafor.example' }),
  tenant(5, 'Okafor Showroom', 4, 'The shop in the old town'),
  tenant(6, 'Verein Nordlicht', 1, 'Club, hosted for free', { contact_email: 'vorstand@nordlicht.example', status: 'suspended', suspended_reason: 'The agreement has ended; waiting for the signed new one.' }),
  tenant(7, 'Trial 2025', 1, '', { status: 'deleted', deleted_at: ago(17_000), purge_at: ahead(26_200) }),
  tenant(8, 'Garage', 2, 'Second cluster, only tests', { status: 'creating', created_at: ago(0) }),
);

const defaults = () => ({
  approval_policy: 'second_person', retention_days: 30, session: { max_per_user: 10, idle_minutes: 60, max_hours: 12 },
  password: { min_length: 12, history: 5, breached_check: true }, mfa: { required_for: 'administrators', step_up_minutes: 10 },
  local_sign_in: true, time_zone: 'Europe/Berlin', locale: 'en',
});
const settings = new Map();
const quotas = new Map();
const quotaList = () => [
  { kind: 'users', soft: 40, hard: 50, used: 23 }, { kind: 'compartments', soft: null, hard: null, used: 9 },
  { kind: 'stacks', soft: 8, hard: 10, used: 9 }, { kind: 'vcpu', soft: null, hard: 64, used: 64 },
  { kind: 'memory_mib', soft: 131_072, hard: 262_144, used: 118_784, given: 65_536 }, { kind: 'disk_gib', soft: 1_500, hard: 2_048, used: 2_304 },
  { kind: 'guests', soft: 30, hard: null, used: 26 },
];
const unproved = (domain, minutes) => ({ domain, verified: false, created_at: ago(minutes), record: { name: `_nimbus-challenge.${domain}`, value: 'nimbus-domain-verification=8Hq2vXk9LrT4mZpN8sWcY1bD6fGjK3uE' } });
const domains = new Map([[tenantId(2), [{ domain: 'home.arpa', verified: true, created_at: ago(80_000) }, unproved('berger.example', 900)]]]);
const of = (map, key, make) => map.get(key) ?? map.set(key, make()).get(key);

const compartment = (n, parent, name, description = '') => ({ id: id(600 + n), parent_id: parent ? id(600 + parent) : '', name, description, created_at: ago(60_000 - n * 900) });
const compartments = [
  compartment(1, 0, 'Production', 'What the family relies on'), compartment(2, 1, 'Media', 'Jellyfin, photos'), compartment(3, 1, 'Network', 'DNS, DHCP, VPN'),
  compartment(4, 3, 'Edge', 'Reachable from outside'), compartment(5, 4, 'Reverse proxies'), compartment(6, 0, 'Workshop', 'Build machines'),
  compartment(7, 6, 'Runner 2'), compartment(8, 6, 'Runner 10'), compartment(9, 0, 'Sandbox', 'May be broken at any time'),
];
const pathOf = (one) => (one.parent_id ? `${pathOf(compartments.find((each) => each.id === one.parent_id))} / ${one.name}` : one.name);
const told = (one) => ({ ...one, path: pathOf(one) });
const under = (one, top) => one !== undefined && (one.id === top || under(compartments.find((each) => each.id === one.parent_id), top));
const missing = () => problem(404, 'not_found', 'It does not exist, or it is not yours.');
const find = (list, wanted, then) => { const found = list.find((each) => each.id === wanted); return found ? then(found) : missing(); };

const checklist = (wanted) => {
  const done = wanted === tenantId(2) ? ['administrator', 'domain', 'connection', 'first_stack', 'quotas'] : ['administrator'];
  return ['administrator', 'domain', 'sign_in', 'mfa', 'connection', 'first_stack', 'quotas'].map((key) => ({ key, title: key, done: done.includes(key), link: '' }));
};

function onboard({ body }) {
  if (tenants.some((each) => each.name === body.name)) return problem(409, 'conflict', `There is already a tenant called ${body.name}. Choose another name.`, [{ location: 'body.name', message: 'Already taken' }]);
  const made = tenant(20 + tenants.length, body.name, 1, body.description ?? '', { parent_id: body.parent_id ?? activeTenant().id, contact_email: body.contact_email ?? '', created_at: ago(0) });
  tenants.push(made);
  domains.set(made.id, body.domains.map((domain) => ({ domain, verified: true, created_at: ago(0) })));
  const provider = body.sign_in && { id: id(700), kind: body.sign_in.kind, name: body.sign_in.name, enabled: true };
  if (provider?.kind === 'oidc') provider.oidc = { redirect_uri: 'https://nimbus.home.arpa:8443/v1/session/oidc/callback' };
  if (provider?.kind === 'saml') {
    const at = `https://nimbus.home.arpa:8443/v1/session/saml/${provider.id}`;
    provider.saml = { sp_entity_id: `${at}/metadata`, acs_url: `${at}/acs`, sp_metadata_url: `${at}/metadata` };
  }
  return [201, {
    tenant: made, provider: provider ?? null, administrator: body.administrator ? { id: id(701), name: body.administrator.name, email: body.administrator.email } : null,
    invitation: body.administrator?.invite ? { email: body.administrator.email, expires_at: ahead(10_080), link: 'https://nimbus.home.arpa:8443/accept-invitation#nbi_Vx3pT9kQ7mZr2LsW8yBd4HfJ6nCg1AeU' } : null,
    scim_token: body.scim_token ? { id: id(702), token: 'nsc_4Hq8vXk2LrT7mZpN1sWcY9bD6fGjK3uE', expires_at: ahead(525_600) } : null,
  }];
}

const change = (status, more = () => ({})) => ({ params, body }) => find(tenants, params[0], (one) => [200, Object.assign(one, { status }, more(body))]);

/** Tenants and compartments. */
export const routes = [
  ['GET', /^\/v1\/tenants$/, ({ scenario, query }) => scenario.failing
    ? problem(503, 'unavailable', 'The database does not answer since two minutes. See System health, then try again.')
    : page(scenario.empty ? tenants.slice(1, 2) : tenants.filter((each) => each.status !== 'deleted' || query.get('include') === 'deleted'))],
  ['POST', /^\/v1\/tenants\/onboard$/, onboard],
  ['GET', /^\/v1\/tenants\/([^/]+)$/, ({ params }) => find(tenants, params[0], (one) => [200, one])],
  ['PATCH', /^\/v1\/tenants\/([^/]+)$/, ({ params, body }) => tenants.some((each) => each.name === body.name && each.id !== params[0])
    ? problem(409, 'conflict', `There is already a tenant called ${body.name}. Choose another name.`, [{ location: 'body.name', message: 'Already taken' }])
    : find(tenants, params[0], (one) => [200, Object.assign(one, body)])],
  ['POST', /^\/v1\/tenants\/([^/]+)\/move$/, ({ params, body }) => find(tenants, params[0], (one) => [200, Object.assign(one, body)])],
  ['POST', /^\/v1\/tenants\/([^/]+)\/suspend$/, change('suspended', (body) => ({ suspended_reason: body.reason }))],
  ['POST', /^\/v1\/tenants\/([^/]+)\/resume$/, change('active')],
  ['DELETE', /^\/v1\/tenants\/([^/]+)$/, change('deleted', () => ({ deleted_at: ago(0), purge_at: ahead(43_200) }))],
  ['POST', /^\/v1\/tenants\/([^/]+)\/restore$/, change('active', () => ({ deleted_at: null, purge_at: null }))],
  ['POST', /^\/v1\/tenants\/([^/]+)\/purge$/, change('purging')],
  ['POST', /^\/v1\/tenants\/([^/]+)\/export$/, () => [200, Buffer.from('PK\x05\x06' + '\0'.repeat(18), 'latin1')]],
  ['GET', /^\/v1\/tenants\/([^/]+)\/settings$/, ({ params }) => [200, of(settings, params[0], defaults)]],
  ['PUT', /^\/v1\/tenants\/([^/]+)\/settings$/, ({ params, body }) => { settings.set(params[0], body); return [200, body]; }],
  ['GET', /^\/v1\/tenants\/([^/]+)\/quotas$/, ({ params, scenario }) => page(scenario.empty ? quotaList().map((one) => ({ ...one, soft: null, hard: null, used: 0 })) : of(quotas, params[0], quotaList))],
  ['PUT', /^\/v1\/tenants\/([^/]+)\/quotas$/, ({ params, body }) => {
    const old = of(quotas, params[0], quotaList);
    quotas.set(params[0], old.map((one) => ({ ...one, ...body.items.find((each) => each.kind === one.kind) })));
    return page(quotas.get(params[0]));
  }],
  ['GET', /^\/v1\/tenants\/([^/]+)\/domains$/, ({ params, scenario }) => page(scenario.empty ? [] : of(domains, params[0], () => []))],
  ['POST', /^\/v1\/tenants\/([^/]+)\/domains$/, ({ params, body }) => {
    if ([...domains.values()].flat().some((each) => each.domain === body.domain)) return problem(409, 'conflict', `${body.domain} belongs to a tenant already. Remove it there first.`, [{ location: 'body.domain', message: 'Belongs to a tenant already' }]);
    of(domains, params[0], () => []).push(unproved(body.domain, 0));
    return [201, {}];
  }],
  ['POST', /^\/v1\/tenants\/([^/]+)\/domains\/([^/]+)\/verify$/, ({ params }) => problem(409, 'conflict', `The DNS does not have the record of ${params[1]} yet. It can take an hour after you entered it; try again then.`)],
  ['DELETE', /^\/v1\/tenants\/([^/]+)\/domains\/([^/]+)$/, ({ params }) => { domains.set(params[0], domains.get(params[0]).filter((each) => each.domain !== params[1])); return [204]; }],
  ['GET', /^\/v1\/tenants\/([^/]+)\/checklist$/, ({ params }) => [200, { items: checklist(params[0]) }]],
  ['GET', /^\/v1\/compartments$/, ({ scenario }) => page(scenario.empty ? [] : compartments.map(told))],
  ['POST', /^\/v1\/compartments$/, ({ body }) => {
    if (compartments.some((each) => each.name === body.name && each.parent_id === (body.parent_id ?? ''))) return problem(409, 'conflict', `There is already a compartment called ${body.name} here. Choose another name.`, [{ location: 'body.name', message: 'Already taken' }]);
    compartments.push({ parent_id: '', ...body, id: id(650 + compartments.length), created_at: ago(0) });
    return [201, told(compartments.at(-1))];
  }],
  ['PATCH', /^\/v1\/compartments\/([^/]+)$/, ({ params, body }) => find(compartments, params[0], (one) => [200, told(Object.assign(one, body))])],
  ['POST', /^\/v1\/compartments\/([^/]+)\/move$/, ({ params, body }) => under(compartments.find((each) => each.id === body.parent_id), params[0])
    ? problem(409, 'conflict', 'A compartment cannot lie under itself. Choose another place.')
    : find(compartments, params[0], (one) => [200, told(Object.assign(one, body))])],
  ['DELETE', /^\/v1\/compartments\/([^/]+)$/, ({ params }) => {
    if (compartments.some((each) => each.parent_id === params[0])) return problem(409, 'conflict', 'There is something in it. Move or delete that first.');
    if (params[0] === id(605)) return problem(409, 'conflict', 'Two stacks are in it. Move or delete them first.');
    compartments.splice(compartments.findIndex((each) => each.id === params[0]), 1);
    return [204];
  }],
];
