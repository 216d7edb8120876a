// Does over the API what a person would do in the browser, on an appliance that
// was set up with answers.yaml beside this file.
//
//   node drive.mjs URL setup TOKEN      goes through the first-run wizard with what answers.yaml says
//   node drive.mjs URL ready            waits until every part is well and people can sign in
//   node drive.mjs URL deploy NAME      deploys a machine, approved by somebody else
//   node drive.mjs URL begin NAME       the same until the engine makes the machine; prints the deployment's id
//   node drive.mjs URL await ID         waits until that deployment has succeeded
//   node drive.mjs URL count N          insists on N succeeded deployments, and on an audit trail that holds
//   node drive.mjs URL machines NAME... insists that the cluster has these machines, each once, and no other
//
// Nothing is given up while it comes along: DRIVE_SECONDS (120) are for what does not change.
import assert from 'node:assert/strict';
import https from 'node:https';

const [base, verb, argument, ...others] = process.argv.slice(2);
const password = 'correct horse battery staple';
const limit = Number(process.env.DRIVE_SECONDS ?? 120) * 1000;
const connections = new https.Agent({ keepAlive: true }); // a handshake costs an emulated processor much
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

function request(method, path, body, cookie = '') {
  return new Promise((done, fail) => {
    const headers = { cookie, origin: base };
    if (body !== undefined) headers['content-type'] = 'application/json';
    const options = { method, headers, rejectUnauthorized: false, agent: connections, timeout: limit };
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

/** Tries until probe returns something. Gives up when what it sees has not changed for the limit. */
async function until(what, probe) {
  let last = '';
  let changed = Date.now();
  const see = (seen) => {
    if (seen !== last) [last, changed] = [seen, Date.now()];
  };
  for (; Date.now() - changed < limit; await sleep(limit / 500)) {
    try {
      const found = await probe(see);
      if (found) return found;
    } catch (error) {
      if (error instanceof assert.AssertionError) throw error;
      see(error.message);
    }
  }
  throw new Error(`${what}: no change for ${limit / 1000} s; last seen: ${last}`);
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

/** Asks for a machine and has it approved by somebody else. */
async function begin(name) {
  const [deployer, approver] = await people();
  const { items: connections } = await deployer.do('GET', '/v1/connections', undefined, 200);
  const stack = await deployer.do('POST', '/v1/stacks', { name, connection_id: connections[0].id, program: program(name), config: {} }, 201);
  const { id } = await deployer.do('POST', '/v1/deployments', { stack_id: stack.id, operation: 'up', refresh: false }, 202);
  const waiting = await reached(deployer, id, 'awaiting_approval');
  const approved = (await happened(deployer, id, 0)).at(-1)?.seq ?? 0; // the preview tells of the machine, too
  await approver.do('POST', `/v1/deployments/${id}/approve`, { digest: waiting.plan.digest }, 200);
  return [deployer, id, approved];
}

/** What happened in a deployment after that number. */
async function happened(person, id, after) {
  const { items } = await person.do('GET', `/v1/deployments/${id}/events?limit=1000&after=${after}`, undefined, 200);
  return items;
}

/** Waits until the engine is at the machine itself, and not done with it. */
async function making(person, id, approved) {
  await until('the machine is being made', async (seen) => {
    const items = await happened(person, id, approved);
    seen(JSON.stringify(items.at(-1)));
    return items.some((e) => e.kind === 'resource' && e.op === 'create' && e.type.endsWith(':VmLegacy'));
  });
  const { status } = await person.do('GET', `/v1/deployments/${id}`, undefined, 200);
  assert.equal(status, 'applying', 'the deployment is under way');
}

/** Does what the wizard does in the browser; each step as its screen sends it. */
async function setUp(token) {
  const page = await request('GET', '/');
  assert.equal(page.status, 200);
  assert.match(page.text, /<nb-root/);
  const wrong = await request('POST', '/v1/setup/session', { token: 'AAAA-AAAA-AAAA-AAAA' });
  assert.equal(wrong.status, 401, wrong.text);
  const early = await request('GET', '/readyz');
  assert.equal(early.status, 503, early.text);
  assert.equal(JSON.parse(early.text).phase, 'waiting for the first run');

  const claimed = await request('POST', '/v1/setup/session', { token });
  assert.ok(claimed.status < 300, claimed.text);
  const browser = new Person();
  browser.cookie = claimed.cookies.map((c) => c.split(';')[0]).join('; ');
  const send = (method, step, body, status = 200) => browser.do(method, `/v1/setup${step}`, body, status);
  await send('PUT', '/appliance', { name: 'Package test', url: base, time_zone: 'UTC', certificate: { mode: 'self_signed' } });
  await send('PUT', '/hsm', { mode: 'none' });
  await send('PUT', '/database', { mode: 'embedded' }, 202);
  await until('the database', async (seen) => {
    const { steps } = await send('GET', '');
    const { done, answers } = steps.find((s) => s.name === 'database');
    seen(JSON.stringify(answers));
    assert.ok(!answers?.progress?.error, answers?.progress?.error);
    return done;
  });
  await send('PUT', '/organisation', { tenant_name: 'Acme', admin_name: 'Ada Admin', admin_email: 'ada@example.com', admin_password: password });
  const cluster = await send('PUT', '/proxmox', { mode: 'simulated' });
  assert.ok(cluster.ok, cluster.message);
  const { kit } = await send('POST', '/recovery-kit');
  const proof = await send('POST', '/recovery-kit/verify', { kit });
  assert.ok(proof.ok, proof.message);
  await send('POST', '/complete', undefined, 204);
  assert.equal((await request('GET', '/v1/setup')).status, 404, 'the wizard is closed for ever');
}

/** Collects anew and reads the names of all machines. */
async function machines() {
  const ada = await Person.signIn('ada@example.com');
  const { items: connections } = await ada.do('GET', '/v1/connections', undefined, 200);
  const before = Date.now();
  await ada.do('POST', `/v1/connections/${connections[0].id}/collect`, undefined, 202);
  return until('a fresh inventory', async (seen) => {
    const { items, collected_at: collected } = await ada.do('GET', '/v1/inventory?kind=vm&limit=200', undefined, 200);
    seen(`${collected} ${items.length}`);
    return Date.parse(collected) > before && items.map((m) => m.name).sort();
  });
}

const verbs = {
  ready: () =>
    until('ready', async (seen) => {
      const [parts, services] = [await request('GET', '/readyz'), await request('GET', '/v1/session')];
      seen(parts.text + services.text);
      return parts.status === 200 && services.status === 401;
    }),
  setup: () => setUp(argument),
  begin: async () => {
    const [deployer, id, approved] = await begin(argument);
    await making(deployer, id, approved);
    console.log(id);
  },
  await: async () => reached(await Person.signIn('dora@example.com'), argument, 'succeeded'),
  deploy: async () => {
    const [deployer, id] = await begin(argument);
    await reached(deployer, id, 'succeeded');
  },
  count: async () => {
    const dora = await Person.signIn('dora@example.com');
    const { items } = await dora.do('GET', '/v1/deployments', undefined, 200);
    assert.equal(items.filter((d) => d.status === 'succeeded').length, Number(argument), 'succeeded deployments');
    const ada = await Person.signIn('ada@example.com');
    const verdict = await ada.do('POST', '/v1/audit/verify', undefined, 200);
    assert.ok(verdict.ok && verdict.checked > 5, JSON.stringify(verdict));
  },
  machines: async () => assert.deepEqual(await machines(), [argument, ...others].sort()),
};

assert.ok(verbs[verb], `there is no ${verb}`);
await verbs[verb]();
connections.destroy();
