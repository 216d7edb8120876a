// A new tenant from an empty appliance: the wizard, the tenant with its domain,
// OpenID Connect, role mapping and SCIM token; then a person of that tenant
// signs in at the provider and sees only what is theirs. Others come in by SAML
// and with a passkey, and the first administrator proves a second factor.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { createInterface } from 'node:readline';

import { call, enter, open, password, press, root, shot, signIn, step, switchTo, tell } from './browser.mjs';
import { wizard } from './wizard.mjs';

const domain = 'zitadel.ch'; // of the person whom the provider knows
const zoe = 'zoe@example.net'; // who administers the new tenant
const rex = 'rex@example.net'; // who loses every right in it

/** A provider of the Go tests as a process of its own; it says on one line where it is. */
async function provider(program, ...args) {
  const child = spawn('go', ['run', `./appliance/identity/${program}`, ...args], {
    cwd: root,
    env: { ...process.env, GOTOOLCHAIN: 'auto' },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const [line] = await Promise.race([
    createInterface({ input: child.stdout })[Symbol.asyncIterator]().next().then(({ value }) => [value]),
    new Promise((_, fail) => child.once('exit', (code) => fail(new Error(`${program} ended with ${code}`)))),
  ]);
  return { ...JSON.parse(line), stop: () => child.stdin.end() };
}

async function onboard(page, appliance, idp) {
  const field = (label) => page.getByRole('textbox', { name: new RegExp(`^${label}`) });
  await page.goto(`${appliance.url}/tenants/new`);
  await page.getByLabel('Name', { exact: true }).fill('Zitadel');
  await page.getByText('Make an account with a first password').click();
  await field('Name of the administrator').fill('Zoe Zitadel');
  await field('E-mail address').fill(zoe);
  await field('First password').fill(password);
  await shot(page, 'onboarding-1-basics');
  await press(page, 'Continue');
  await field('Domain').fill(domain);
  await press(page, 'Add');
  await shot(page, 'onboarding-2-domains');
  await press(page, 'Continue');
  await page.getByText('OpenID Connect', { exact: true }).click();
  await field('Name on the sign-in button').fill('Zitadel account');
  await field('Issuer').fill(idp.issuer);
  await field('Client ID').fill(idp.client_id);
  await field('Client secret').fill(idp.client_secret);
  await field('Certificate authority').fill(idp.ca);
  await shot(page, 'onboarding-3-sign-in');
  await press(page, 'Continue');
  await page.getByText('Make a SCIM token').click();
  await field('Name of the token').fill('Directory');
  await shot(page, 'onboarding-4-scim');
  await press(page, 'Continue');
  await shot(page, 'onboarding-5-review');
  await press(page, 'Create tenant');
  await page.getByRole('heading', { name: 'Copy this now' }).waitFor();
  await shot(page, 'onboarding-6-result');
  return page.getByText(/^nsc_/).first().textContent();
}

/** Members whose address says so read the new tenant, by a rule on a claim. */
async function mapRoles(page, appliance) {
  const roles = (await call(page, 'GET', '/roles', null, 200)).items;
  const one = (await call(page, 'GET', '/identity-providers', null, 200)).items[0];
  await page.goto(`${appliance.url}/identity-providers/${one.id}`);
  await page.getByRole('button', { name: 'Add a rule' }).click();
  await page.getByLabel('Claim', { exact: true }).fill('email');
  await page.getByLabel('Comparison').selectOption('pattern');
  await page.getByLabel('Value', { exact: true }).fill(`*@${domain}`);
  await page.getByLabel('Gives').selectOption(`role:${roles.find((r) => r.name === 'Reader').id}`);
  await press(page, 'Save the rules');
  await shot(page, 'provider');
  return one;
}

async function signInAtProvider(browser, appliance) {
  const page = await open(browser, appliance, '/sign-in');
  await page.getByLabel('E-mail address').fill(`test-user2@${domain}`);
  await press(page, 'Continue');
  await page.getByRole('button', { name: 'Sign in with Zitadel account' }).waitFor();
  await shot(page, 'sign-in-provider');
  await press(page, 'Sign in with Zitadel account');
  await page.locator('input[name=username]').fill('test-user2');
  await page.locator('input[name=password]').fill('verysecure');
  await page.locator('button[type=submit], input[type=submit]').first().click();
  await page.getByRole('navigation').first().waitFor();
  return page;
}

/** Who loses every right is cut off at once, and comes back without loading the page again. */
async function comeBack(browser, appliance, admin) {
  const roles = (await call(admin, 'GET', '/roles', null, 200)).items;
  const role_ids = [roles.find((r) => r.name === 'Reader').id];
  const { id } = await call(admin, 'POST', '/users', { name: 'Rex Reader', email: rex, password, role_ids }, 201);
  const page = await enter(browser, appliance, rex);
  const { items } = await call(admin, 'GET', `/assignments?subject_kind=user&subject_id=${id}`, null, 200);
  const notice = page.getByText('The live connection is interrupted');
  const cut = notice.waitFor();
  for (const one of items) await call(admin, 'DELETE', `/assignments/${one.id}`, null, 204);
  await cut;
  await notice.waitFor({ state: 'hidden' });
}

/** SAML beside it: the administrator adds the provider, and another person comes in through it. */
async function saml(browser, appliance, idp) {
  const admin = await enter(browser, appliance, zoe);
  const roles = (await call(admin, 'GET', '/roles', null, 200)).items;
  const made = await call(admin, 'POST', '/identity-providers', {
    kind: 'saml', name: 'Campus', enabled: true,
    saml: { metadata_url: idp.metadata_url, ca_pem: idp.ca, require_encrypted: true, sign_requests: true },
    jit: { users: true, groups: true, link_by_email: 'never' },
    subject_claim: 'uid', email_claim: 'mail', name_claim: 'cn', groups_claim: 'eduPersonAffiliation',
    mapping: [{ claim: 'eduPersonAffiliation', pattern: 'eng*', role_id: roles.find((r) => r.name === 'Operator').id }],
  }, 201);
  const metadata = await (await admin.request.get(`${appliance.url}/v1/session/saml/${made.id}/metadata`)).text();
  await admin.request.put(`${idp.url}/services/nimbus`, { data: metadata, headers: { 'Content-Type': 'application/xml' } });
  const sam = { name: 'sam', password: 'verysecure', email: `sam@${domain}`, common_name: 'Sam Campus', groups: ['engineers'] };
  await admin.request.put(`${idp.url}/users/sam`, { data: sam });

  const page = await open(browser, appliance, '/sign-in');
  await page.getByLabel('E-mail address').fill(sam.email);
  await press(page, 'Continue');
  await press(page, 'Sign in with Campus');
  await page.locator('input[name=user]').fill('sam');
  const asked = page.url();
  await page.locator('input[name=password]').fill('verysecure');
  await page.locator('input[type=submit]').first().click();
  await page.waitForURL(/\/login/);
  await page.goto(asked); // that provider forgets what was asked when somebody signs in
  await page.getByRole('navigation').first().waitFor();
  const session = await call(page, 'GET', '/session', null, 200);
  assert.equal(session.user.name, 'Sam Campus');
  assert.ok(session.permissions.includes('cmdb:*:*'), `the rule gave ${session.permissions}`);
  await admin.goto(`${appliance.url}/users`);
  await admin.getByText('Sam Campus').first().waitFor();
  await shot(admin, 'members-from-providers');
}

/** A passkey in Chromium's virtual authenticator, then a sign-in with nothing else. */
async function passkey(page, appliance) {
  const client = await page.context().newCDPSession(page);
  await client.send('WebAuthn.enable');
  await client.send('WebAuthn.addVirtualAuthenticator', {
    options: { protocol: 'ctap2', transport: 'internal', hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true },
  });
  await page.goto(`${appliance.url}/profile`);
  await page.getByRole('button', { name: 'Add a passkey' }).click();
  await page.getByRole('textbox', { name: /^Name/ }).fill('Laptop');
  await press(page, 'Add the passkey');
  const codes = page.getByRole('heading', { name: /recovery codes/i });
  await Promise.race([page.getByText('Laptop').first().waitFor(), codes.waitFor()]);
  await shot(page, 'profile-passkey');
  await call(page, 'DELETE', '/session', null, 200);
  await page.goto(`${appliance.url}/sign-in`);
  await press(page, 'Sign in with a passkey');
  await page.getByRole('navigation').first().waitFor();
  const session = await call(page, 'GET', '/session', null, 200);
  assert.deepEqual([session.method, session.mfa], ['passkey', true]);
}

/** What a directory sees with its token: its own tenant and no other. */
async function directory(appliance, page, token) {
  const answer = await page.request.get(`${appliance.url}/scim/v2/Users`, { headers: { Authorization: `Bearer ${token.trim()}` } });
  assert.equal(answer.status(), 200, await answer.text());
  const { Resources: people } = await answer.json();
  assert.deepEqual(people.map((p) => p.userName).sort(), [rex, `test-user2@${domain}`, zoe]);
}

/** RFC 6238: the code of now for a Base32 secret. */
function totp(secret) {
  const bits = [...secret.replace(/=+$/, '')].map((c) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(c).toString(2).padStart(5, '0')).join('');
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000)));
  const mac = createHmac('sha1', key).update(counter).digest();
  const at = mac[19] & 15;
  return String((mac.readUInt32BE(at) & 0x7fffffff) % 1_000_000).padStart(6, '0');
}

async function secondFactor(browser, appliance, page) {
  const { secret } = await call(page, 'POST', '/mfa/totp', {}, 200);
  const { recovery_codes: codes } = await call(page, 'POST', '/mfa/totp/confirm', { code: totp(secret) }, 200);
  assert.equal(codes.length, 10);
  await page.goto(`${appliance.url}/profile`);
  await page.locator('h1').first().waitFor();
  await shot(page, 'profile-second-factor');
  const again = await signIn(browser, appliance, 'ada@example.com');
  await again.getByRole('heading', { name: 'One more proof' }).waitFor();
  await shot(again, 'sign-in-second-factor');
  const refused = await call(again, 'GET', '/users', null, 401);
  assert.equal(refused.code, 'unauthenticated', 'half a sign-in is none');
  await again.getByRole('button', { name: /recovery code/i }).click();
  await again.getByLabel(/recovery code/i).fill(codes[0]);
  await again.locator('button.primary').first().click();
  await again.getByRole('navigation').first().waitFor();
}

const pages = ['tenants', 'users', 'users/groups', 'users/service-accounts', 'users/invitations', 'roles', 'identity-providers', 'profile'];

async function story(browser, appliance) {
  appliance.url = appliance.url.replace('127.0.0.1', 'localhost'); // a passkey belongs to a name
  const context = await browser.newContext({ ignoreHTTPSErrors: true, acceptDownloads: true, viewport: { width: 1280, height: 900 } });
  await step('the wizard on an empty data directory', async () => wizard(await context.newPage(), appliance));
  await context.close();
  const idp = await step('an OpenID Connect provider starts', () =>
    provider('oidc/oidctest/op', `${appliance.url}/v1/session/oidc/callback`));
  const campus = await step('a SAML provider starts', () => provider('saml/samltest/idp'));
  try {
    const ada = await step('the administrator signs in', () => enter(browser, appliance, 'ada@example.com'));
    await switchTo(ada, 'Provider Root');
    await step('the provider level allows a private address', async () => {
      await ada.goto(`${appliance.url}/identity-providers`);
      await ada.getByRole('textbox', { name: /^Ranges/ }).fill('127.0.0.0/8');
      await press(ada, 'Save the ranges');
      await ada.getByText('Saved.').waitFor();
      await shot(ada, 'private-ranges');
      assert.deepEqual(await call(ada, 'GET', '/system/outbound', null, 200), { ranges: ['127.0.0.0/8'] });
    });
    const token = await step('a tenant with domain, provider and SCIM token', () => onboard(ada, appliance, idp));
    const tenant = (await call(ada, 'GET', '/tenants', null, 200)).items.find((t) => t.name === 'Zitadel');
    await step('who made the tenant does not belong to it', () => call(ada, 'PUT', '/session/tenant', { tenant_id: tenant.id }, 404));
    await step('the checklist knows what is done', async () => {
      const { items } = await call(ada, 'GET', `/tenants/${tenant.id}/checklist`, null, 200);
      const done = items.filter((p) => p.done).map((p) => p.key);
      assert.deepEqual(done, ['administrator', 'domain', 'sign_in']);
    });
    const admin = await enter(browser, appliance, zoe);
    await step('its administrator maps a claim to a role', () => mapRoles(admin, appliance));
    await step('who loses every right is cut off, and comes back', () => comeBack(browser, appliance, admin));
    const person = await step('a person signs in at the provider', () => signInAtProvider(browser, appliance));
    await step('and sees only what is theirs', async () => {
      const session = await call(person, 'GET', '/session', null, 200);
      assert.deepEqual(session.tenants.map((t) => t.name), ['Zitadel']);
      assert.ok(session.permissions.includes('cmdb:*:read'), `the rule gave ${session.permissions}`);
      await call(person, 'GET', '/users', null, 403);
      assert.deepEqual((await call(person, 'GET', '/inventory', null, 200)).items, []);
      await shot(person, 'provider-person');
    });
    await step('the directory sees the person with its token', () => directory(appliance, ada, token));
    await step('a person signs in by SAML', () => saml(browser, appliance, campus));
    await step('a passkey is the only factor', async () => passkey(await enter(browser, appliance, zoe), appliance));
    await step('a second factor for the administrator', () => secondFactor(browser, appliance, ada));
    for (const path of pages) {
      await step(`look at /${path}`, async () => {
        await ada.goto(`${appliance.url}/${path}`);
        await ada.locator('h1').first().waitFor();
        await ada.waitForTimeout(400);
        await shot(ada, `access-${path.replaceAll('/', '-')}`);
      });
    }
  } finally {
    idp.stop();
    campus.stop();
  }
}

await tell(story);
