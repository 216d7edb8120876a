// The story in a browser: the wizard on an empty machine, then one person
// deploys, another approves, the machine is seen, changed, drifts, and goes.
// Screenshots of every page end in build/screenshots.
import assert from 'node:assert/strict';

import { call, enter, password, shot, step, switchTo, tell } from './browser.mjs';
import { wizard } from './wizard.mjs';

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

const pages = ['', 'inventory', 'connections', 'stacks', 'deployments', 'approvals', 'tenants', 'users', 'roles',
  'audit', 'audit/verify', 'audit/live', 'audit/timeline', 'audit/exports', 'audit-settings/retention', 'audit-settings/holds',
  'audit-settings/redaction', 'audit-settings/archive', 'audit-settings/proof', 'audit-settings/siem', 'audit-settings/siem/new',
  'anomalies', 'anomalies/rules', 'compliance', 'roles/new', 'roles/grants', 'roles/explain', 'roles/simulate',
  'identity-providers', 'identity-providers/new', 'identity-providers/scim', 'break-glass', 'health', 'profile'];

/** What the provider's administrators see. */
const systemPages = ['doctor', 'workflows', 'workflows/schedules', 'backups', 'backups/settings', 'certificate', 'mail'];

async function look(page, appliance, path) {
  await step(`look at /${path}`, async () => {
    await page.goto(`${appliance.url}/${path}`);
    await page.locator('h1').first().waitFor();
    await page.waitForTimeout(400);
    await shot(page, `page-${path.replaceAll('/', '-') || 'dashboard'}`);
  });
}

async function story(browser, appliance) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, acceptDownloads: true, viewport: { width: 1280, height: 900 } });
  const fresh = await context.newPage();
  await step('the wizard on an empty data directory', () => wizard(fresh, appliance));
  await context.close();

  const ada = await step('the administrator signs in', () => enter(browser, appliance, 'ada@example.com'));
  await switchTo(ada, 'Acme');
  const setup = await ada.request.get(`${appliance.url}/v1/setup`);
  assert.equal(setup.status(), 404, 'the wizard is closed for ever');
  await person(ada, 'Dora Deployer', 'dora@example.com', 'Deployer');
  await person(ada, 'Abel Approver', 'abel@example.com', 'Approver');
  const dora = await step('the deployer signs in', () => enter(browser, appliance, 'dora@example.com'));
  const abel = await step('the approver signs in', () => enter(browser, appliance, 'abel@example.com'));

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
  for (const path of pages) await look(ada, appliance, path);
  await switchTo(ada, 'Provider Root');
  for (const path of systemPages) await look(ada, appliance, path);
  await switchTo(ada, 'Acme');
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

await tell(story);
