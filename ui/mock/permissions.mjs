// Made-up roles, assignments, grants and answers about permissions. The answers
// are worked out from the made-up grants as the appliance works them out.
import { roles, users } from './appliance.mjs';
import { ago, id, page, problem } from './made-up.mjs';

const ahead = (minutes) => ago(-minutes);
const known = {
  'audit:record': ['read', 'export'], 'audit:chain': ['verify'], 'breakglass:session': ['request', 'approve', 'end', 'read'],
  'deployment:deployment': ['read', 'create', 'cancel'], 'deployment:stack': ['read', 'create', 'update', 'delete', 'preview', 'deploy', 'destroy', 'approve', 'export'],
  'identity:group': ['read', 'create', 'update', 'delete'], 'identity:invitation': ['read', 'create', 'delete'], 'identity:mfa': ['reset'],
  'identity:provider': ['read', 'create', 'update', 'delete'], 'identity:scim-token': ['read', 'create', 'delete'], 'identity:service-account': ['read', 'create', 'update', 'delete'],
  'identity:session': ['read', 'end'], 'identity:user': ['read', 'create', 'update', 'delete'],
  'permission:grant': ['read', 'create', 'delete'], 'permission:policy': ['explain'], 'permission:role': ['read', 'create', 'update', 'delete', 'assign'],
  'provider:connection': ['read', 'create', 'update', 'delete', 'test'], 'provider:guest': ['read', 'power'], 'provider:inventory': ['read'], 'system:health': ['read'],
  'tenancy:compartment': ['read', 'create', 'update', 'move', 'delete'], 'tenancy:domain': ['read', 'create', 'delete'], 'tenancy:quota': ['read', 'update'],
  'tenancy:settings': ['read', 'update'], 'tenancy:tenant': ['read', 'create', 'update', 'move', 'suspend', 'delete', 'restore', 'purge', 'export'],
};
const catalogue = Object.entries(known).flatMap(([name, actions]) => actions.map((action) => {
  const [domain, resource] = name.split(':');
  return { permission: `${name}:${action}`, domain, resource, action, summary: `${action[0].toUpperCase()}${action.slice(1)} ${resource.replace('-', ' ')}` };
}));

roles.splice(0, roles.length,
  { id: id(21), name: 'Tenant Administrator', description: 'Everything inside one tenant', system: true, holders: 1, inherits: [], grants: [{ permission: '*:*:*', effect: 'allow' }] },
  { id: id(22), name: 'Reader', description: 'Sees everything, changes nothing', system: true, holders: 2, inherits: [], grants: [{ permission: '*:*:read', effect: 'allow' }] },
  { id: id(25), name: 'Deployer', description: 'Writes stacks and asks for deployments', system: true, holders: 0, inherits: [id(22)], grants: [{ permission: 'deployment:*:*', effect: 'allow' }, { permission: 'deployment:stack:approve', effect: 'deny' }] },
  { id: id(23), name: 'Night shift', description: 'Runs deployments and power actions, from inside and with a second factor', system: false, holders: 3, inherits: [id(25)], grants: [
    { permission: 'provider:guest:power', effect: 'allow' }, { permission: 'deployment:stack:destroy', effect: 'deny', hard: true },
    { permission: 'breakglass:session:request', effect: 'allow', condition: 'actor.mfa && cidr("192.168.0.0/16").containsIP(address)' },
    { permission: 'provider:connection:update', effect: 'allow', compartment_id: id(606), expires_at: ahead(60_000) }] },
  { id: id(24), name: 'Approver', description: 'Decides about plans', system: false, holders: 1, inherits: [], grants: [{ permission: 'deployment:stack:approve', effect: 'allow' }, { permission: 'deployment:*:read', effect: 'allow' }, { permission: 'breakglass:session:*', effect: 'deny', hard: true }] },
);
const given = (at) => (at === 0 ? [0] : at === 1 ? [3, 4] : at === 2 || (at > 3 && at % 5 === 4) ? [1] : []);
users.forEach((user, at) => { user.roles = given(at).map((one) => ({ id: roles[one].id, name: roles[one].name })); });

const assignments = [
  { id: id(440), subject_kind: 'user', subject_id: users[0].id, subject_name: users[0].name, role_id: id(21) },
  { id: id(441), subject_kind: 'group', subject_id: id(803), subject_name: 'Night shift', role_id: id(23) },
  { id: id(442), subject_kind: 'user', subject_id: users[1].id, subject_name: users[1].name, role_id: id(23), compartment_id: id(606), expires_at: ahead(20_000) },
  { id: id(443), subject_kind: 'user', subject_id: users[2].id, subject_name: users[2].name, role_id: id(23), not_before: ahead(3_000), expires_at: ahead(9_000) },
  { id: id(444), subject_kind: 'service_account', subject_id: id(820), subject_name: 'CI runner', role_id: id(23), expires_at: ago(600) },
  { id: id(445), subject_kind: 'user', subject_id: users[1].id, subject_name: users[1].name, role_id: id(24) },
];
const grants = [
  { id: id(460), subject_kind: 'user', subject_id: users[1].id, subject_name: users[1].name, permission: 'provider:guest:power', effect: 'allow', expires_at: ahead(4_000) },
  { id: id(461), subject_kind: 'group', subject_id: id(804), subject_name: 'acme-platform-engineers', permission: 'deployment:stack:update', effect: 'allow', compartment_id: id(601), condition: 'resource.attributes.environment in ["test", "staging"]' },
  { id: id(462), subject_kind: 'service_account', subject_id: id(821), subject_name: 'Backup', permission: 'audit:record:export', effect: 'deny', hard: true },
];

const contains = (outer, inner) => { const p = outer.split(':'), q = inner.split(':'); return [0, 1, 2].every((at) => p[at] === '*' || p[at] === q[at]) && (!p[3] || p[3] === q[3]); };
const specificity = (text) => text.split(':').reduce((sum, part, at) => (part === '*' ? sum : sum + 16 + (8 >> at)), 0);
const written = (role, held, seen = new Set()) => (seen.has(role.id) ? [] : [...role.grants.map((grant) => ({ ...grant, role: role.name, via: role === held ? `role ${role.name}` : `role ${role.name}, inherited by role ${held.name}` })),
  ...(role.inherits ?? []).flatMap((next) => written(roles.find((one) => one.id === next), held, new Set([...seen, role.id])))]);

function sources(subject, change = {}) {
  const mine = (one) => one.subject_kind === subject.subject_kind && one.subject_id === subject.subject_id;
  const held = [...assignments, ...(change.assign ?? [])].filter(mine).filter((one) => !(change.unassign ?? []).includes(one.id));
  const direct = [...grants, ...(change.grants_add ?? [])].filter(mine).filter((one) => !(change.grants_remove ?? []).includes(one.id));
  return [...held.flatMap(({ role_id, compartment_id, expires_at }) => {
    const role = change.role?.id === role_id ? change.role : roles.find((one) => one.id === role_id);
    return role ? written(role, role).map((grant) => ({ compartment_id, expires_at, ...grant })) : [];
  }), ...direct.map(({ permission, effect, hard, condition, compartment_id, expires_at }) => ({ permission, effect, hard, condition, compartment_id, expires_at, role: '', via: 'direct grant' }))];
}

function decide(permission, all, resource) {
  const considered = all.map((one) => {
    const about = contains(one.permission, permission);
    const elsewhere = one.compartment_id && resource?.compartment_id !== one.compartment_id;
    const over = one.expires_at && Date.parse(one.expires_at) < Date.now();
    const note = !about ? undefined : over ? 'Its time is over.' : elsewhere ? 'It holds in another compartment only.' : one.condition ? 'The condition holds: true.' : undefined;
    return { ...one, specificity: specificity(one.permission), matched: about && !elsewhere && !over, note };
  });
  const matched = considered.filter((one) => one.matched).sort((a, b) => Number(b.hard ?? 0) - Number(a.hard ?? 0) || b.specificity - a.specificity || Number(b.effect === 'deny') - Number(a.effect === 'deny'));
  const by = matched[0] ?? null;
  const reason = by ? `${by.hard ? 'The hard denial' : 'The most specific grant that holds'}, ${by.permission}, decides: ${by.via}.` : 'No grant matches. Without a grant the answer is no.';
  return { allowed: by?.effect === 'allow', permission, reason, decided_by: by, considered };
}
const somebody = (body) => (body.subject_id ? body : { subject_kind: 'user', subject_id: body.user_id ?? users[0].id });
const remove = (list, wanted) => { list.splice(list.findIndex((each) => each.id === wanted), 1); return [204]; };
const find = (list, wanted, then) => { const found = list.find((each) => each.id === wanted); return found ? then(found) : problem(404, 'not_found', 'It does not exist, or it is not yours.'); };
const named = (body) => ({ ...body, subject_name: users.find((one) => one.id === body.subject_id)?.name ?? 'Operators' });

const vocabulary = {
  names: [
    ['actor.id', 'string', 'The id of who asks.', 'actor.id == resource.attributes.owner_id'], ['actor.name', 'string', 'The name of who asks.', 'actor.name.startsWith("ci-")'],
    ['actor.kind', 'string', 'user or service_account.', 'actor.kind == "user"'], ['actor.mfa', 'bool', 'Whether the session proved a second factor.', 'actor.mfa'],
    ['time', 'timestamp', 'Now.', 'time.getHours("Europe/Berlin") >= 8 && time.getHours("Europe/Berlin") < 18'], ['address', 'string', 'The address the request comes from.', 'cidr("192.168.0.0/16").containsIP(address)'],
    ['resource.kind', 'string', 'The kind of what is asked for.', 'resource.kind == "stack"'], ['resource.attributes', 'map', 'What is known about it. A missing attribute is no answer.', 'resource.attributes.environment in ["test", "staging"]'],
    ['request.token', 'bool', 'Whether an API token asks, not a person’s session.', '!request.token'], ['request.authenticated_at', 'timestamp', 'When the person last proved who they are.', 'time - request.authenticated_at < duration("15m")'],
  ].map(([name, type, description, example]) => ({ name, type, description, example })),
  functions: [['startsWith, endsWith, contains', 'Parts of a text.', 'actor.name.startsWith("ci-")'], ['cidr, ip', 'Networks and addresses.', 'cidr("10.0.0.0/8").containsIP(address)']].map(([name, description, example]) => ({ name, description, example })),
};

function tryCondition({ body: { condition, sample } }) {
  const unknown = /\b(actor|resource|request)\.(\w+)/.exec(condition.replace(/\b(actor\.(id|name|kind|mfa)|resource\.(id|kind|compartment|attributes)|request\.(id|permission|token|authenticated_at))\b/g, ''));
  if (unknown) return [200, { result: null, error: `1:1: ${unknown[0]} is not a name. Choose one of the vocabulary.`, cost: 0 }];
  return [200, { result: condition.includes('mfa') ? Boolean(sample.actor?.mfa) : true, error: null, cost: 12 }];
}

/** Roles and permissions. */
export const routes = [
  ['GET', /^\/v1\/permissions\/catalogue$/, () => page(catalogue)],
  ['GET', /^\/v1\/roles\/([^/]+)$/, ({ params }) => find(roles, params[0], (role) => [200, role])],
  ['PUT', /^\/v1\/roles\/([^/]+)$/, ({ params, body }) => find(roles, params[0], (role) => [200, Object.assign(role, body)])],
  ['POST', /^\/v1\/roles$/, ({ body }) => roles.some((one) => one.name === body.name) ? problem(409, 'conflict', `There is already a role called ${body.name}. Choose another name.`, [{ location: 'body.name', message: 'Already taken' }]) : [201, roles[roles.push({ id: id(300 + roles.length), system: false, holders: 0, ...body }) - 1]]],
  ['GET', /^\/v1\/assignments$/, ({ query, scenario }) => page(scenario.empty ? [] : assignments.filter((one) => ['subject_kind', 'subject_id', 'role_id'].every((name) => !query.get(name) || one[name] === query.get(name))))],
  ['POST', /^\/v1\/assignments$/, ({ body }) => [201, assignments[assignments.push({ id: id(500 + assignments.length), ...named(body) }) - 1]]],
  ['DELETE', /^\/v1\/assignments\/([^/]+)$/, ({ params, scenario }) => scenario.refused ? problem(403, 'forbidden', 'You may not do this: it needs permission:role:assign. No grant matches.') : remove(assignments, params[0])],
  ['GET', /^\/v1\/grants$/, ({ query, scenario }) => page(scenario.empty ? [] : grants.filter((one) => !query.get('subject_id') || one.subject_id === query.get('subject_id')))],
  ['POST', /^\/v1\/grants$/, ({ body }) => [201, grants[grants.push({ id: id(520 + grants.length), ...named(body) }) - 1]]],
  ['DELETE', /^\/v1\/grants\/([^/]+)$/, ({ params, scenario }) => scenario.refused ? problem(403, 'forbidden', 'You may not do this: it needs permission:grant:delete. No grant matches.') : remove(grants, params[0])],
  ['POST', /^\/v1\/permissions\/explain$/, ({ body, scenario }) => [200, decide(body.permission, scenario.refused ? sources({ subject_kind: 'user', subject_id: users[1].id }) : sources(somebody(body)), body.resource)]],
  ['GET', /^\/v1\/permissions\/effective$/, ({ query }) => page(sources({ subject_kind: query.get('subject_kind'), subject_id: query.get('subject_id') }))],
  ['POST', /^\/v1\/permissions\/holders$/, ({ body }) => page([...new Map(assignments.map((one) => [one.subject_id, one])).values()].map((one) => ({ one, decision: decide(body.permission, sources(one), body.resource) })).filter(({ decision }) => decision.allowed)
    .map(({ one, decision }) => ({ subject_kind: one.subject_kind, subject_id: one.subject_id, name: one.subject_name, via: decision.decided_by.via, conditional: Boolean(decision.decided_by.condition) })))],
  ['POST', /^\/v1\/permissions\/simulate$/, ({ body }) => [200, { results: body.questions.map((one) => ({ before: decide(one.permission, sources(one), one.resource), after: decide(one.permission, sources(one, body.change), one.resource) })) }]],
  ['GET', /^\/v1\/permissions\/condition\/vocabulary$/, () => [200, vocabulary]],
  ['POST', /^\/v1\/permissions\/condition\/test$/, tryCondition],
];
