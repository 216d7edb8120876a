// The story in a browser: the wizard on an empty machine, then one person
// deploys, another approves, the machine is seen, changed, drifts, and goes.
// Screenshots of every page end in build/screenshots.
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import { chromium } from 'playwright-core';

import { start } from './appliance.mjs';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..');
const shots = join(root, 'build/screenshots');
const password = 'correct horse battery staple';
const flags = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync'];

const program = (memory) => `name: story
runtime: yaml
resources:
  web:
    type: proxmoxve:index/vmLegacy:VmLegacy
    properties:
      nodeName: pve1
      name: web1
      memory:
        dedicated: ${memory}
      cpu:
        cores: 2
      cdrom:
        fileId: none
      disks:
        - interface: scsi0
          datastoreId: local-lvm
          size: 8
      started: true
outputs:
  vmid: \${web.vmId}
`;

let passed = 0;

async function step(name, run) {
  const began = Date.now();
  try {
    const result = await run();
    passed++;
    console.log(`ok   ${name} (${Date.now() - began} ms)`);
    return result;
  } catch (cause) {
    console.error(`FAIL ${name}`);
    throw cause;
  }
}

async function shot(page, name) {
  for (const scheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme: scheme, reducedMotion: 'reduce' });
    await page.waitForTimeout(200);
    await page.screenshot({ path: join(shots, `${name}-${scheme}.png`) });
  }
  await page.emulateMedia({ colorScheme: 'light', reducedMotion: 'reduce' });
}

const press = (page, name) => page.getByRole('button', { name, exact: true }).click();

async function wizard(page, appliance) {
  await page.goto(appliance.url);
  await page.getByLabel('Setup token').fill(await appliance.token());
  await shot(page, 'setup-1-token');
  await press(page, 'Begin');
  await page.getByLabel('Name', { exact: true }).fill('Homelab');
  await shot(page, 'setup-2-appliance');
  await press(page, 'Save and continue');
  await page.getByText('The built-in one').click();
  await shot(page, 'setup-3-database');
  await press(page, 'Prepare the database');
  await page.getByText('SoftHSM').first().waitFor({ timeout: 60_000 });
  await page.getByRole('radio', { name: /^None/ }).check({ force: true });
  await shot(page, 'setup-4-hsm');
  await press(page, 'Save and continue');
  await page.getByLabel('Name of the first tenant').fill('Acme');
  await page.getByLabel('Name', { exact: true }).fill('Ada Admin');
  await page.getByLabel('E-mail address').fill('ada@example.com');
  await page.getByLabel('Password', { exact: true }).fill(password);
  await page.getByLabel('Password again').fill(password);
  await shot(page, 'setup-5-organisation');
  await press(page, 'Save and continue');
  await page.getByText('Use the simulated cluster').click({ timeout: 60_000 });
  await shot(page, 'setup-6-proxmox');
  await page.locator('button.primary').last().click();
  const download = page.waitForEvent('download', { timeout: 60_000 });
  await page.getByRole('button', { name: /download/i }).first().click();
  const path = await (await download).path();
  await shot(page, 'setup-7-recovery-kit');
  await page.locator('input[type=file]').setInputFiles(path);
  const verify = page.getByRole('button', { name: /prove|verify|decrypt|check/i });
  if (await verify.isVisible()) await verify.click();
  await press(page, 'Continue');
  await shot(page, 'setup-8-done');
  await page.locator('button.primary').last().click();
  await page.getByLabel('E-mail address').waitFor();
}

async function signIn(browser, appliance, email) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: { width: 1440, height: 900 } });
  const page = await context.newPage();
  await page.goto(`${appliance.url}/sign-in`);
  await page.getByLabel('E-mail address').fill(email);
  await press(page, 'Continue');
  await page.getByLabel('Password', { exact: true }).fill(password);
  await press(page, 'Sign in');
  await page.getByRole('navigation').first().waitFor();
  return page;
}

/** Sends a request as the page's person. */
async function call(page, method, path, body, expected) {
  const answer = await page.evaluate(
    async ([method, path, body]) => {
      const response = await fetch(`/v1${path}`, {
        method,
        headers: body === null ? {} : { 'Content-Type': 'application/json' },
        body: body === null ? undefined : JSON.stringify(body),
      });
      const text = await response.text();
      return { status: response.status, body: text === '' ? null : JSON.parse(text) };
    },
    [method, path, body ?? null],
  );
  assert.equal(answer.status, expected, `${method} ${path}: ${JSON.stringify(answer.body)}`);
  return answer.body;
}

async function acme(page) {
  const session = await call(page, 'GET', '/session', null, 200);
  const tenant = session.tenants.find((t) => t.name === 'Acme');
  await call(page, 'PUT', '/session/tenant', { tenant_id: tenant.id }, 200);
  await page.reload();
}

async function person(page, name, email, role) {
  const roles = (await call(page, 'GET', '/roles', null, 200)).items;
  const id = roles.find((r) => r.name === role).id;
  await call(page, 'POST', '/users', { name, email, password, role_ids: [id] }, 201);
}

async function reach(page, id, ...states) {
  for (const end = Date.now() + 120_000; Date.now() < end; await page.waitForTimeout(200)) {
    const run = await call(page, 'GET', `/deployments/${id}`, null, 200);
    if (states.includes(run.status)) return run;
    assert.ok(!['failed', 'rejected'].includes(run.status), `the run is ${run.status}: ${run.error}`);
  }
  throw new Error(`the run never became ${states}`);
}

const ask = (page, stack, operation, refresh) =>
  call(page, 'POST', '/deployments', { stack_id: stack, operation, refresh: refresh ?? false }, 202);

/** The approver reads the plan in the browser and presses the button. */
async function approve(page, appliance, run, name) {
  await page.goto(`${appliance.url}/deployments/${run.id}`);
  await page.getByRole('button', { name: /^Approve/ }).first().waitFor();
  await shot(page, name);
  const read = page.getByRole('checkbox', { name: /destroyed/ });
  if (await read.isVisible()) await read.check();
  await page.getByRole('button', { name: /^Approve/ }).first().click();
}

const pages = ['', 'inventory', 'connections', 'stacks', 'deployments', 'approvals', 'audit', 'tenants', 'users', 'roles',
  'roles/new', 'roles/grants', 'roles/explain', 'roles/simulate', 'sign-in-providers', 'sign-in-providers/new', 'sign-in-providers/scim',
  'break-glass', 'health', 'profile'];

async function story(browser, appliance) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, acceptDownloads: true, viewport: { width: 1280, height: 900 } });
  const fresh = await context.newPage();
  await step('the wizard on an empty data directory', () => wizard(fresh, appliance));
  await context.close();

  const ada = await step('the administrator signs in', () => signIn(browser, appliance, 'ada@example.com'));
  await acme(ada);
  const setup = await ada.request.get(`${appliance.url}/v1/setup`);
  assert.equal(setup.status(), 404, 'the wizard is closed for ever');
  await person(ada, 'Dora Deployer', 'dora@example.com', 'Deployer');
  await person(ada, 'Abel Approver', 'abel@example.com', 'Approver');
  const dora = await step('the deployer signs in', () => signIn(browser, appliance, 'dora@example.com'));
  const abel = await step('the approver signs in', () => signIn(browser, appliance, 'abel@example.com'));

  const connection = (await call(dora, 'GET', '/connections', null, 200)).items[0].id;
  const body = { name: 'web', description: '', connection_id: connection, program: program(1024), config: {} };
  const stack = await call(dora, 'POST', '/stacks', body, 201);
  await step('deploy: asked by one, approved by another', async () => {
    const run = await ask(dora, stack.id, 'up');
    await reach(dora, run.id, 'awaiting_approval');
    await approve(abel, appliance, run, 'deployment-approval');
    await dora.goto(`${appliance.url}/deployments/${run.id}`);
    await reach(dora, run.id, 'succeeded');
    await shot(dora, 'deployment-succeeded');
  });
  await step('the machine runs in the inventory', async () => {
    await ada.goto(`${appliance.url}/inventory`);
    await ada.getByText('web1').first().waitFor({ timeout: 60_000 });
    await shot(ada, 'inventory-machine');
  });
  await step('change its memory', async () => {
    await call(dora, 'PUT', `/stacks/${stack.id}`, { ...body, program: program(2048), version: stack.version }, 200);
    const run = await ask(dora, stack.id, 'up');
    const waiting = await reach(dora, run.id, 'awaiting_approval');
    assert.equal(waiting.plan.changes.length, 1);
    await approve(abel, appliance, run, 'deployment-change');
    await reach(dora, run.id, 'succeeded');
  });
  await step('the editor shows the stack', async () => {
    await dora.goto(`${appliance.url}/stacks/${stack.id}`);
    await dora.getByText('proxmoxve:index/vmLegacy:VmLegacy').first().waitFor();
    await shot(dora, 'stack-editor');
  });
  for (const path of pages) {
    await step(`look at /${path}`, async () => {
      await ada.goto(`${appliance.url}/${path}`);
      await ada.locator('h1').first().waitFor();
      await ada.waitForTimeout(400);
      await shot(ada, `page-${path.replaceAll('/', '-') || 'dashboard'}`);
    });
  }
  await step('a drift made by hand is seen', async () => {
    const guest = (await call(ada, 'GET', '/inventory?kind=vm', null, 200)).items[0];
    await call(ada, 'POST', `/inventory/${guest.id}/power`, { action: 'stop' }, 202);
    await ada.waitForTimeout(4000);
    const run = await reach(dora, (await ask(dora, stack.id, 'preview', true)).id, 'succeeded');
    assert.equal(run.plan.drift, true);
    await dora.goto(`${appliance.url}/deployments/${run.id}`);
    await dora.locator('h1').first().waitFor();
    await shot(dora, 'deployment-drift');
  });
  await step('destroy', async () => {
    const run = await ask(dora, stack.id, 'destroy', true);
    await reach(dora, run.id, 'awaiting_approval');
    await approve(abel, appliance, run, 'deployment-destroy');
    await reach(dora, run.id, 'succeeded');
  });
  await step('the audit chain holds', async () => {
    const result = await call(ada, 'POST', '/audit/verify', undefined, 200);
    assert.ok(result.ok && result.checked > 10, JSON.stringify(result));
  });
}

mkdirSync(shots, { recursive: true });
const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: flags });
const appliance = await start(join(root, 'build/nimbus'));
let failed = 0;
try {
  await story(browser, appliance);
} catch (cause) {
  failed = 1;
  console.error(cause);
  for (const [i, page] of browser.contexts().flatMap((c) => c.pages()).entries()) {
    await page.screenshot({ path: join(shots, `failed-${i}.png`) }).catch(() => undefined);
    console.error(`page ${i} was at ${page.url()}, see build/screenshots/failed-${i}.png`);
  }
  console.error(appliance.log());
} finally {
  await browser.close();
  await appliance.stop();
  appliance.remove();
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed;
