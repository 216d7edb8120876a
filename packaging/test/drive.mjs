// Does over the API what a person would do in the browser, on an appliance that
// was set up with answers.yaml beside this file.
//
//   node drive.mjs URL ready            waits until every part is well and people can sign in
//   node drive.mjs URL deploy NAME      deploys a machine, approved by somebody else
//   node drive.mjs URL begin NAME       the same until the engine applies it; prints the deployment's id
//   node drive.mjs URL await ID         waits until that deployment has succeeded
//   node drive.mjs URL count N          insists on N succeeded deployments, and on an audit trail that holds
//   node drive.mjs URL wizard TOKEN     claims the wizard with a setup token, as its first screen does
import assert from 'node:assert/strict';
import https from 'node:https';

const [base, verb, argument] = process.argv.slice(2);
const password = 'correct horse battery staple';
const limit = Number(process.env.DRIVE_SECONDS ?? 120) * 1000;
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

function request(method, path, body, cookie = '') {
  return new Promise((done, fail) => {
    const headers = { cookie, origin: base };
    if (body !== undefined) headers['content-type'] = 'application/json';
    const options = { method, headers, rejectUnauthorized: false, agent: false, timeout: 30_000 };
    const r = https.request(base + path, options, (response) => {
      let text = '';
      response.on('data', (chunk) => (text += chunk));
      response.on('error', fail);
      response.on('end', () => done({ status: response.statusCode, text, cookies: response.headers['set-cookie'] ?? [] }));
    });
    r.on('timeout', () => r.destroy(new Error('no answer')));
    r.on('error', fail);
    r.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

/** Tries until probe returns something, and explains what came last when it does not. */
async function until(what, probe) {
  let last = '';
  for (const end = Date.now() + limit; Date.now() < end; await sleep(250)) {
    try {
      const found = await probe((seen) => (last = seen));
      if (found) return found;
    } catch (error) {
      if (error instanceof assert.AssertionError) throw error;
      last = error.message;
    }
  }
  throw new Error(`${what}: not within ${limit / 1000} s; last seen: ${last}`);
}

class Person {
  static async signIn(email) {
    const person = new Person();
    const answer = await request('POST', '/v1/session', { email, password });
    assert.equal(answer.status, 201, `sign-in of ${email}: ${answer.text}`);
    person.cookie = answer.cookies.map((c) => c.split(';')[0]).join('; ');
    const { tenants } = JSON.parse(answer.text);
    const tenant = tenants.find((t) => t.name === 'Acme');
    await person.do('PUT', '/v1/session/tenant', { tenant_id: tenant.id }, 200);
    return person;
  }

  async do(method, path, body, status) {
    const answer = await request(method, path, body, this.cookie);
    assert.equal(answer.status, status, `${method} ${path}: ${answer.text}`);
    return answer.text ? JSON.parse(answer.text) : undefined;
  }
}

async function people() {
  const admin = await Person.signIn('ada@example.com');
  const { items: roles } = await admin.do('GET', '/v1/roles', undefined, 200);
  for (const [name, email, role] of [
    ['Dora Deployer', 'dora@example.com', 'Deployer'],
    ['Abel Approver', 'abel@example.com', 'Approver'],
  ]) {
    if ((await request('POST', '/v1/session', { email, password })).status === 201) continue; // made by an earlier call
    const body = { name, email, password, role_ids: roles.filter((r) => r.name === role).map((r) => r.id) };
    await admin.do('POST', '/v1/users', body, 201);
  }
  return [await Person.signIn('dora@example.com'), await Person.signIn('abel@example.com')];
}

const program = (name) => `name: ${name}
runtime: yaml
resources:
  web:
    type: proxmoxve:index/vmLegacy:VmLegacy
    properties:
      nodeName: pve1
      name: ${name}
      memory: {dedicated: 1024}
      cpu: {cores: 1}
      cdrom: {fileId: none}
      disks: [{interface: scsi0, datastoreId: local-lvm, size: 8}]
      started: true
`;

function reached(person, id, ...states) {
  return until(`deployment ${states.join(' or ')}`, async (seen) => {
    const d = await person.do('GET', `/v1/deployments/${id}`, undefined, 200);
    seen(`${d.status} ${d.error} ${JSON.stringify(d.plan)}`);
    assert.ok(states.includes('failed') || d.status !== 'failed', `the deployment failed: ${d.error}`);
    return states.includes(d.status) && d;
  });
}

async function begin(name) {
  const [deployer, approver] = await people();
  const { items: connections } = await deployer.do('GET', '/v1/connections', undefined, 200);
  const stack = await deployer.do('POST', '/v1/stacks', { name, connection_id: connections[0].id, program: program(name), config: {} }, 201);
  const { id } = await deployer.do('POST', '/v1/deployments', { stack_id: stack.id, operation: 'up', refresh: false }, 202);
  const waiting = await reached(deployer, id, 'awaiting_approval');
  await approver.do('POST', `/v1/deployments/${id}/approve`, { digest: waiting.plan.digest }, 200);
  await reached(deployer, id, 'applying', 'verifying', 'succeeded');
  return id;
}

const verbs = {
  ready: () =>
    until('ready', async (seen) => {
      const [parts, services] = [await request('GET', '/readyz'), await request('GET', '/v1/session')];
      seen(parts.text + services.text);
      return parts.status === 200 && services.status === 401;
    }),
  begin: async () => console.log(await begin(argument)),
  await: async () => reached(await Person.signIn('dora@example.com'), argument, 'succeeded'),
  deploy: async () => {
    const id = await begin(argument);
    await reached(await Person.signIn('dora@example.com'), id, 'succeeded');
  },
  count: async () => {
    const dora = await Person.signIn('dora@example.com');
    const { items } = await dora.do('GET', '/v1/deployments', undefined, 200);
    assert.equal(items.filter((d) => d.status === 'succeeded').length, Number(argument), 'succeeded deployments');
    const ada = await Person.signIn('ada@example.com');
    const verdict = await ada.do('POST', '/v1/audit/verify', undefined, 200);
    assert.ok(verdict.ok && verdict.checked > 5, JSON.stringify(verdict));
  },
  wizard: async () => {
    const page = await request('GET', '/');
    assert.equal(page.status, 200);
    assert.match(page.text, /<nb-root/);
    const wrong = await request('POST', '/v1/setup/session', { token: 'AAAA-AAAA-AAAA-AAAA' });
    assert.equal(wrong.status, 401, wrong.text);
    const right = await request('POST', '/v1/setup/session', { token: argument });
    assert.ok(right.status < 300, right.text);
  },
};

assert.ok(verbs[verb], `there is no ${verb}`);
await verbs[verb]();
