// Made-up sign-in providers, provisioning, second factors, and the steps of signing in.
import { begin, roles, session, users } from './appliance.mjs';
import { ago, id, page, problem } from './made-up.mjs';

const ahead = (minutes) => ago(-minutes);
const origin = 'https://nimbus.home.arpa:8443';
const pem = '-----BEGIN CERTIFICATE-----\nMIIB…\n-----END CERTIFICATE-----';
const common = { mapping: [], default_role_ids: [], subject_claim: '', email_claim: '', name_claim: '', groups_claim: '', trust_mfa: false, jit: { users: true, groups: false, link_by_email: 'never' } };
const oidc = (issuer, client_id) => ({ issuer, client_id, has_secret: true, scopes: ['profile', 'email'], ca_pem: '', redirect_uri: `${origin}/v1/session/oidc/callback` });
const saml = (one, entity) => ({ metadata_url: `${entity}/metadata`, ca_pem: '', idp_entity_id: entity, sso_url: `${entity}/sso`, certificates: [pem], sp_entity_id: `${origin}/v1/session/saml/${one}/metadata`, acs_url: `${origin}/v1/session/saml/${one}/acs`, sp_metadata_url: `${origin}/v1/session/saml/${one}/metadata`, sign_requests: true, require_encrypted: false, require_signed_assertion: true, allow_idp_initiated: false });
const providers = [
  { id: id(700), kind: 'oidc', name: 'Okafor account', enabled: true, ...common, groups_claim: 'groups', trust_mfa: true,
    oidc: { ...oidc('https://login.microsoftonline.com/0b1f7c52-5d5e-4a3e-9b77-7a2f6c1d9e10/v2.0', '5e0c1d7a-2f44-4a0b-8f0e-1c2d3e4f5a6b'), backchannel_logout_uri: `${origin}/v1/session/oidc/${id(700)}/backchannel-logout` },
    mapping: [{ claim: 'groups', value: 'nimbus-admins', role_id: id(21) }, { claim: 'groups', pattern: 'platform-*', group_id: id(804) }], default_role_ids: [id(22)],
    status: { ok: true, message: '', checked_at: ago(12) } },
  { id: id(701), kind: 'saml', name: 'Workshop SSO', enabled: true, ...common, saml: saml(id(701), 'https://sso.workshop.example/idp'), status: { ok: false, message: 'Its certificate has expired two days ago. Read the metadata again or enter the new certificate.', checked_at: ago(40) } },
  { id: id(702), kind: 'oidc', name: 'Keycloak (trial)', enabled: false, ...common, oidc: oidc('https://keycloak.home.arpa/realms/home', 'nimbus'), status: { ok: true, message: '', checked_at: ago(2_000) } },
];
const scim = [
  { id: id(710), name: 'Entra ID', created_at: ago(60_000), last_used_at: ago(18), expires_at: ahead(200_000) },
  { id: id(711), name: 'Okta (old)', created_at: ago(300_000), last_used_at: ago(90_000), expires_at: ago(40) },
];
const passkeys = [{ id: id(720), name: 'Chrome, Linux', created_at: ago(40_000), last_used_at: ago(52) }, { id: id(721), name: 'Security key on the key ring', created_at: ago(39_000), last_used_at: null }];
const codes = ['4m2q-8xtv-k9rd', 'p3wn-6hfz-2yjc', '7kqe-v5gm-d8ta', 'x9rb-3cws-n4hu', 'f6tz-j2pk-8mqv', 'h8yd-w4ne-5xgr', 'c2mv-q7fb-t3zk', 'n5jx-9hpa-w6es', 'r4gu-k8td-v2my', 'z7cq-e3xf-b9wn'];
const modules = Array.from({ length: 29 * 29 }, (_, at) => ((at * 2654435761) >>> 7) % 5 < 2 && `M${at % 29},${Math.floor(at / 29)}h1v1h-1z`).filter(Boolean).join('');
const finder = (x, y) => `M${x},${y}h7v7h-7zM${x + 1},${y + 1}v5h5v-5zM${x + 2},${y + 2}h3v3h-3z`;
const qr = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="-2 -2 33 33" shape-rendering="crispEdges"><path fill="#fff" d="M-2-2h33v33h-33z"/><path fill-rule="evenodd" d="${modules}"/><path fill="#fff" d="M0,0h8v8h-8zM21,0h8v8h-8zM0,21h8v8h-8z"/><path fill-rule="evenodd" d="${finder(0, 0)}${finder(22, 0)}${finder(0, 22)}"/></svg>`;
const challenge = { challenge: 'c29tZSBjaGFsbGVuZ2U', rpId: 'localhost', userVerification: 'preferred', allowCredentials: [{ id: 'AQID', type: 'public-key' }] };
let totp = true;
const factors = (scenario) => scenario.enrol ? { totp: false, passkeys: [], recovery_codes_left: 0, required: true } : { totp, passkeys, recovery_codes_left: 2, required: false };

const find = (list, wanted, then) => { const found = list.find((each) => each.id === wanted); return found ? then(found) : problem(404, 'not_found', 'It does not exist, or it is not yours.'); };
const remove = (list, wanted) => { list.splice(list.findIndex((each) => each.id === wanted), 1); return [204]; };

function discover({ body, scenario }) {
  if (scenario.failing) return problem(503, 'unavailable', 'The database does not answer since two minutes. See System health, then try again.');
  const start = (one) => ({ id: one.id, name: one.name, kind: one.kind, start_url: `/v1/session/${one.kind}/${one.id}/start` });
  const known = body.email.endsWith('@okafor.example');
  return [200, { methods: known ? ['passkey'] : ['password', 'passkey'], providers: known ? [start(providers[0]), start(providers[1])] : body.email.startsWith('mira') ? [start(providers[0])] : [] }];
}

function signIn({ body, scenario }) {
  if (body.password === 'wrong') return problem(401, 'unauthenticated', 'E-mail address or password is wrong. Check both and try again.');
  if (scenario.second_factor) return [200, { second_factor: { token: 'nbs_2', methods: ['totp', 'passkey', 'recovery_code'], options: challenge } }];
  return begin(scenario);
}

const wrongFactor = () => problem(401, 'unauthenticated', 'This does not prove your second factor. Try the next code, or another way.');
const result = (scenario) => ({
  finished: true, error: scenario.failing ? 'The signature of the token does not fit to a key of the issuer. Look whether the issuer is right and its clock too.' : '', cause: scenario.failing ? 'oidc: token is signed with key "2c1f", the issuer has "9a0e"' : '',
  claims: scenario.failing ? null : { sub: 'AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ', name: 'Ngozi Eze', email: 'ngozi.eze@okafor.example', email_verified: true, groups: ['platform-engineers', 'everybody', 'coffee'], tid: '0b1f7c52-5d5e-4a3e-9b77-7a2f6c1d9e10', amr: ['pwd', 'mfa'] },
  subject: scenario.failing ? '' : 'AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ', email: scenario.failing ? '' : 'ngozi.eze@okafor.example', email_verified: scenario.failing ? null : true, name: scenario.failing ? '' : 'Ngozi Eze', mfa: !scenario.failing,
  would_be: scenario.failing ? { user: 'refused', reason: '', roles: [], groups: [], notes: [] } : { user: 'new', reason: 'No account has this address, and the provider may make accounts.', roles: [{ id: roles[1].id, name: roles[1].name }], groups: [{ id: id(804), name: 'acme-platform-engineers' }], notes: ['A rule gives the role Emergency, which does not exist any more.'] },
});

/** Signing in, second factors, providers, provisioning. */
export const routes = [
  ['POST', /^\/v1\/session\/discover$/, discover],
  ['POST', /^\/v1\/session$/, signIn],
  ['POST', /^\/v1\/session\/second-factor$/, ({ body, scenario }) => body.totp === '000000' || body.recovery_code === 'wrong' ? wrongFactor() : begin(scenario)],
  ['POST', /^\/v1\/session\/second-factor\/begin$/, ({ body }) => [200, { token: body.token, methods: ['totp', 'recovery_code'], options: null }]],
  ['POST', /^\/v1\/session\/passkey\/begin$/, () => [200, { options: challenge, state: 'nbs_p' }]],
  ['POST', /^\/v1\/session\/passkey$/, ({ scenario }) => begin(scenario)],
  ['GET', /^\/v1\/session\/reauthenticate$/, ({ scenario }) => [200, scenario.elsewhere ? { methods: ['oidc'], redirect: `/v1/session/oidc/${id(700)}/start?reauthenticate=true` } : { methods: ['password', 'totp', 'passkey'], options: challenge, state: 'nbs_r' }]],
  ['POST', /^\/v1\/session\/reauthenticate$/, ({ body, scenario }) => { if (body.password === 'wrong' || body.totp === '000000') return problem(401, 'unauthenticated', 'This does not prove that it is you. Try again.'); scenario.step_up = false; return [204]; }],
  ['PUT', /^\/v1\/session\/password$/, ({ body }) => body.current === 'wrong' ? problem(401, 'unauthenticated', 'The present password is wrong. Try again.') : body.new.includes('password') ? problem(422, 'invalid', 'This password is known from stolen lists.', [{ location: 'body.new', message: 'It is in a list of stolen passwords. Choose another one.' }]) : [204]],
  ['GET', /^\/v1\/mfa$/, ({ scenario }) => [200, factors(scenario)]],
  ['POST', /^\/v1\/mfa\/totp$/, () => [200, { secret: 'JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP', uri: 'otpauth://totp/Nimbus:ada@home.arpa', qr_svg: qr }]],
  ['POST', /^\/v1\/mfa\/totp\/confirm$/, ({ body, scenario }) => { if (body.code === '000000') return problem(400, 'invalid', 'This is not the code of this moment. Wait for the next one, and look whether the clock of the phone is right.', [{ location: 'body.code', message: 'Not the code of this moment' }]); totp = true; scenario.enrol = false; return [200, { recovery_codes: codes }]; }],
  ['DELETE', /^\/v1\/mfa\/totp$/, ({ scenario }) => { if (scenario.step_up) return problem(403, 'step_up_required', 'Prove first that it is you.'); totp = false; return [204]; }],
  ['POST', /^\/v1\/mfa\/passkeys\/begin$/, () => [200, { options: { challenge: challenge.challenge, rp: { id: 'localhost', name: 'Nimbus' }, user: { id: 'AQ', name: 'ada@home.arpa', displayName: 'Ada Berger' }, pubKeyCredParams: [{ type: 'public-key', alg: -7 }] }, state: 'nbs_m' }]],
  ['POST', /^\/v1\/mfa\/passkeys\/finish$/, ({ body }) => [201, passkeys[passkeys.push({ id: id(722 + passkeys.length), name: body.name, created_at: ago(0), last_used_at: null }) - 1]]],
  ['DELETE', /^\/v1\/mfa\/passkeys\/([^/]+)$/, ({ params }) => remove(passkeys, params[0])],
  ['POST', /^\/v1\/mfa\/recovery-codes$/, ({ scenario }) => scenario.step_up ? problem(403, 'step_up_required', 'Prove first that it is you.') : [200, { codes }]],
  ['POST', /^\/v1\/invitations\/inspect$/, ({ body }) => body.token.includes('gone') ? problem(410, 'gone', 'This invitation was used already, or has ended. Ask for a new one.') : [200, { tenant: 'Homelab', name: 'Finn Albers', email: 'finn@okafor.example', needs_password: !body.token.includes('known') }]],
  ['POST', /^\/v1\/invitations\/accept$/, ({ scenario }) => begin(scenario)],
  ['POST', /^\/v1\/password-reset$/, ({ body }) => body.token.includes('gone') ? problem(410, 'gone', 'This link was used already, or has ended. Ask an administrator for a new one.') : [204]],
  ['GET', /^\/v1\/identity-providers$/, ({ scenario }) => page(scenario.empty ? [] : providers)],
  ['POST', /^\/v1\/identity-providers$/, ({ body }) => {
    if (body.oidc?.issuer.includes('wrong')) return problem(400, 'invalid', 'The issuer does not answer as one: it has no /.well-known/openid-configuration. Correct the address.', [{ location: 'body.oidc.issuer', message: 'No OpenID provider answers here' }]);
    const made = { id: id(703), ...common, ...body, status: { ok: true, message: '', checked_at: ago(0) } };
    if (body.kind === 'oidc') made.oidc = { ...oidc(body.oidc.issuer, body.oidc.client_id), has_secret: Boolean(body.oidc.client_secret) };
    else made.saml = saml(made.id, 'https://id.example.org');
    providers.push(made);
    return [201, made];
  }],
  ['GET', /^\/v1\/identity-providers\/([^/]+)$/, ({ params }) => find(providers, params[0], (one) => [200, one])],
  ['PATCH', /^\/v1\/identity-providers\/([^/]+)$/, ({ params, body: { oidc: o, saml: s, ...rest } }) => find(providers, params[0], (one) => [200, Object.assign(one, rest, o && { oidc: { ...one.oidc, ...o } }, s && { saml: { ...one.saml, ...s } })])],
  ['DELETE', /^\/v1\/identity-providers\/([^/]+)$/, ({ params }) => remove(providers, params[0])],
  ['POST', /^\/v1\/identity-providers\/([^/]+)\/rotate-key$/, ({ params }) => find(providers, params[0], (one) => [200, one])],
  ['POST', /^\/v1\/identity-providers\/([^/]+)\/test$/, ({ params }) => [200, { test: id(730), redirect: `/identity-providers/${params[0]}/test?test=${id(730)}` }]],
  ['GET', /^\/v1\/identity-providers\/([^/]+)\/test\/([^/]+)$/, ({ scenario }) => [200, result(scenario)]],
  ['GET', /^\/v1\/scim-tokens$/, ({ scenario }) => page(scenario.empty ? [] : scim)],
  ['POST', /^\/v1\/scim-tokens$/, ({ body }) => { const made = { id: id(712 + scim.length), name: body.name, created_at: ago(0), last_used_at: null, expires_at: ahead(body.expires_in_days * 1440) }; scim.push(made); return [201, { ...made, token: 'nsc_4mZpN8sWcY1bD6fGjK3uE7Hq2vXk9LrT', url: `${origin}/scim/v2` }]; }],
  ['DELETE', /^\/v1\/scim-tokens\/([^/]+)$/, ({ params }) => remove(scim, params[0])],
];
