// Made-up members, groups, service accounts and invitations.
import { roles, users } from './appliance.mjs';
import { ago, id, page, problem } from './made-up.mjs';

const ahead = (minutes) => ago(-minutes);
const names = ['Lena Hartmann', 'Tariq Aziz', 'Sofia Lindqvist', 'Maximilian von Hohenstein-Wittgenbach', 'Ngozi Eze', 'Pavel Novák', 'Yuki Tanaka', 'Inês Duarte', 'Björn Dahl', 'Amélie Rousseau', 'Kofi Mensah', 'Greta Vogel', 'Luca Ferri', 'Hana Kim', 'Owen Price', 'Zofia Wójcik', 'Mateo Rojas', 'Ida Nilsen', 'Samir Haddad', 'Clara Brandt', 'Jun Li', 'Nora Byrne', 'Viktor Petrov', 'Rania Saleh', 'Emil Sørensen', 'Paula Costa'];
const group = (n, name, description, source = 'local') => ({ id: id(800 + n), name, description, source, created_at: ago(50_000 - n * 400), members: [] });
const groups = [
  group(1, 'Administrators', 'Look after this tenant'), group(2, 'Operators', 'Run deployments, day and night'), group(3, 'Night shift', 'On call from 22 to 6'),
  group(4, 'acme-platform-engineers', 'Synchronised from Entra ID', 'scim'), group(5, 'Auditors', ''),
];
const accounts = [
  { id: id(820), name: 'CI runner', description: 'Previews and deploys from the main repository', status: 'active', created_at: ago(30_000) },
  { id: id(821), name: 'Backup', description: 'Reads the inventory every night', status: 'active', created_at: ago(20_000) },
  { id: id(822), name: 'Old monitoring', description: '', status: 'disabled', created_at: ago(90_000) },
];
const tokens = new Map([[id(820), [
  { id: id(830), name: 'Main repository', scopes: ['deployment:stack:read', 'deployment:stack:preview', 'deployment:deployment:*'], created_at: ago(20_000), expires_at: ahead(100_000), last_used_at: ago(6) },
  { id: id(831), name: 'Nightly', scopes: [], created_at: ago(2_000), expires_at: ahead(9_000), last_used_at: null },
]]]);
const assignments = [{ id: id(840), subject_kind: 'group', subject_id: id(802), role_id: roles[2].id }, { id: id(841), subject_kind: 'service_account', subject_id: id(820), role_id: roles[1].id }, { id: id(842), subject_kind: 'group', subject_id: id(802), role_id: roles[3].id, expires_at: ahead(4_000) }];
const invitations = [
  { id: id(850), name: 'Finn Albers', email: 'finn@okafor.example', created_at: ago(60), expires_at: ahead(10_000), invited_by: 'Ada Berger' },
  { id: id(851), name: '', email: 'contractor@example.org', created_at: ago(20_000), expires_at: ago(9_000), invited_by: 'Jonas Weiß' },
];

Object.assign(users[0], { source: 'local', mfa: true, emergency: true });
Object.assign(users[1], { source: 'oidc', mfa: true });
Object.assign(users[2], { source: 'local', mfa: false });
Object.assign(users[3], { source: 'local', mfa: false });
names.forEach((name, at) => users.push({
  id: id(1_000 + at), name, email: `${name.normalize('NFKD').replace(/[^a-zA-Z ]/g, '').toLowerCase().replaceAll(' ', '.')}@okafor.example`, status: at % 11 === 7 ? 'disabled' : 'active',
  source: ['scim', 'oidc', 'local', 'saml'][at % 4], mfa: at % 3 > 0, emergency: false, roles: at % 5 ? [] : [{ id: roles[1].id, name: roles[1].name }], last_sign_in_at: at % 4 ? ago(at * 371) : null, created_at: ago(40_000 - at * 800),
}));
const join = (at, ...members) => groups[at].members.push(...members.map(([kind, one]) => ({ kind, id: one.id, name: one.name, ...(one.email ? { email: one.email } : {}) })));
join(0, ['user', users[0]]);
join(1, ['group', groups[2]], ['group', groups[3]], ['user', users[1]], ['user', users[6]], ['service_account', accounts[0]]);
join(2, ['user', users[8]], ['user', users[9]]);
join(3, ['user', users[4]], ['user', users[5]], ['user', users[7]]);

const told = ({ members, ...one }) => ({ ...one, member_count: members.length });
const member = (user) => ({ ...user, groups: groups.filter((one) => one.members.some((each) => each.id === user.id)).map(({ id, name }) => ({ id, name })) });
const remove = (list, wanted) => { list.splice(list.findIndex((each) => each.id === wanted), 1); return [204]; };
const find = (list, wanted, then) => { const found = list.find((each) => each.id === wanted); return found ? then(found) : problem(404, 'not_found', 'It does not exist, or it is not yours.'); };
const taken = (list, name) => list.some((each) => each.name === name) && problem(409, 'conflict', `There is already one called ${name}. Choose another name.`, [{ location: 'body.name', message: 'Already taken' }]);

function list({ query, scenario }) {
  if (scenario.failing) return problem(503, 'unavailable', 'The database does not answer since two minutes. See System health, then try again.');
  const q = (query.get('q') ?? '').toLowerCase();
  const found = scenario.empty ? [] : users.filter((each) => `${each.name} ${each.email}`.toLowerCase().includes(q));
  const from = query.get('after') ? found.findIndex((each) => each.id === query.get('after')) + 1 : 0;
  const limit = Math.min(Number(query.get('limit') ?? 12), 200);
  const items = found.slice(from, from + limit).map(member);
  return [200, { items, next: from + limit < found.length ? items.at(-1).id : null }];
}

// wayTo names the groups from one down to another, or answers null.
function wayTo(from, wanted) {
  if (from.id === wanted) return [from.name];
  for (const below of from.members.filter((each) => each.kind === 'group')) {
    const way = wayTo(groups.find((each) => each.id === below.id), wanted);
    if (way) return [from.name, ...way];
  }
  return null;
}

function add({ params: [groupId, kind, memberId] }) {
  const lists = { user: users, group: groups, service_account: accounts };
  const one = lists[kind].find((each) => each.id === memberId);
  const into = groups.find((each) => each.id === groupId);
  const way = kind === 'group' && wayTo(one, groupId);
  if (way) return problem(409, 'conflict', `${one.name} cannot be put into ${into.name}, because ${into.name} is already in it: ${way.join(' → ')}. Take one of them out first.`);
  join(groups.indexOf(into), [kind, one]);
  return [204];
}

/** People and accounts. */
export const routes = [
  ['GET', /^\/v1\/users$/, list],
  ['DELETE', /^\/v1\/users\/([^/]+)$/, ({ params }) => remove(users, params[0])],
  ['DELETE', /^\/v1\/users\/([^/]+)\/mfa$/, ({ params }) => { users.find((each) => each.id === params[0]).mfa = false; return [204]; }],
  ['GET', /^\/v1\/users\/([^/]+)\/sessions$/, ({ params }) => page(params[0] === users[1].id ? [
    { id: id(860), address: '192.168.1.44', user_agent: 'Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0', method: 'oidc', mfa: true, signed_in_at: ago(190), last_seen_at: ago(2), expires_at: ahead(400) },
    { id: id(861), address: '10.8.0.9', user_agent: 'Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1', method: 'passkey', mfa: true, signed_in_at: ago(3_000), last_seen_at: ago(1_400), expires_at: ahead(100) },
  ] : [])],
  ['POST', /^\/v1\/users\/([^/]+)\/sessions\/end$/, () => [204]],
  ['POST', /^\/v1\/users\/([^/]+)\/password-reset$/, () => [201, { link: 'https://nimbus.home.arpa:8443/reset-password#nbp_Kq7mZr2LsW8yBd4HfJ6nCg1AeUVx3pT9', expires_at: ahead(60) }]],
  ['GET', /^\/v1\/groups$/, ({ scenario, query }) => page(scenario.empty ? [] : groups.filter((one) => one.name.toLowerCase().includes((query.get('q') ?? '').toLowerCase())).map(told))],
  ['POST', /^\/v1\/groups$/, ({ body }) => taken(groups, body.name) || [201, told(groups[groups.push({ ...group(groups.length + 1, body.name, body.description), created_at: ago(0) }) - 1])]],
  ['GET', /^\/v1\/groups\/([^/]+)$/, ({ params }) => find(groups, params[0], (one) => [200, told(one)])],
  ['PATCH', /^\/v1\/groups\/([^/]+)$/, ({ params, body }) => find(groups, params[0], (one) => [200, told(Object.assign(one, body))])],
  ['DELETE', /^\/v1\/groups\/([^/]+)$/, ({ params }) => remove(groups, params[0])],
  ['GET', /^\/v1\/groups\/([^/]+)\/members$/, ({ params }) => find(groups, params[0], (one) => page(one.members))],
  ['PUT', /^\/v1\/groups\/([^/]+)\/members\/([^/]+)\/([^/]+)$/, add],
  ['DELETE', /^\/v1\/groups\/([^/]+)\/members\/([^/]+)\/([^/]+)$/, ({ params }) => remove(groups.find((each) => each.id === params[0]).members, params[2])],
  ['GET', /^\/v1\/service-accounts$/, ({ scenario }) => page(scenario.empty ? [] : accounts.map((one) => ({ ...one, tokens: (tokens.get(one.id) ?? []).length, last_used_at: tokens.get(one.id)?.[0]?.last_used_at ?? null })))],
  ['POST', /^\/v1\/service-accounts$/, ({ body }) => taken(accounts, body.name) || [201, accounts[accounts.push({ id: id(870 + accounts.length), ...body, status: 'active', created_at: ago(0) }) - 1]]],
  ['PATCH', /^\/v1\/service-accounts\/([^/]+)$/, ({ params, body }) => find(accounts, params[0], (one) => [200, Object.assign(one, body)])],
  ['DELETE', /^\/v1\/service-accounts\/([^/]+)$/, ({ params }) => remove(accounts, params[0])],
  ['GET', /^\/v1\/service-accounts\/([^/]+)\/tokens$/, ({ params }) => page(tokens.get(params[0]) ?? [])],
  ['POST', /^\/v1\/service-accounts\/([^/]+)\/tokens$/, ({ params, body }) => {
    const made = { id: id(880 + Math.floor(Math.random() * 100)), name: body.name, scopes: body.scopes, created_at: ago(0), expires_at: ahead(body.expires_in_days * 1440), last_used_at: null };
    tokens.set(params[0], [...(tokens.get(params[0]) ?? []), made]);
    return [201, { ...made, token: 'nbt_7Hq2vXk9LrT4mZpN8sWcY1bD6fGjK3uE' }];
  }],
  ['DELETE', /^\/v1\/service-accounts\/([^/]+)\/tokens\/([^/]+)$/, ({ params }) => remove(tokens.get(params[0]), params[1])],
  ['GET', /^\/v1\/assignments$/, ({ query }) => page(assignments.filter((one) => ['subject_kind', 'subject_id', 'role_id'].every((name) => !query.get(name) || one[name] === query.get(name))))],
  ['POST', /^\/v1\/assignments$/, ({ body }) => { assignments.push({ id: id(890 + assignments.length), ...body }); return [201, assignments.at(-1)]; }],
  ['DELETE', /^\/v1\/assignments\/([^/]+)$/, ({ params }) => remove(assignments, params[0])],
  ['GET', /^\/v1\/invitations$/, ({ scenario }) => page(scenario.empty ? [] : invitations)],
  ['POST', /^\/v1\/invitations$/, ({ body }) => {
    const made = { id: id(852 + invitations.length), name: body.name, email: body.email, created_at: ago(0), expires_at: ahead(10_080), invited_by: 'Ada Berger' };
    invitations.unshift(made);
    return [201, { id: made.id, email: made.email, expires_at: made.expires_at, link: 'https://nimbus.home.arpa:8443/accept-invitation#nbi_Vx3pT9kQ7mZr2LsW8yBd4HfJ6nCg1AeU' }];
  }],
  ['DELETE', /^\/v1\/invitations\/([^/]+)$/, ({ params }) => remove(invitations, params[0])],
  ['GET', /^\/v1\/permissions\/catalogue$/, () => page([['deployment:stack:read', 'Read a stack'], ['deployment:stack:update', 'Change a stack'], ['deployment:stack:preview', 'Preview a stack'], ['provider:guest:power', 'Start and stop guests'], ['identity:user:read', 'List the members']].map(([permission, summary]) => ({ permission, summary, domain: permission.split(':')[0], resource: permission.split(':')[1], action: permission.split(':')[2] })))],
];
