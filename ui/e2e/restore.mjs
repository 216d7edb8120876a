// A lost machine, from an empty appliance: the wizard with its recovery kit, a place
// for backups, a backup that is stopped and one that is proven. The machine is
// destroyed; on another the first screen restores, a wrong kit is corrected, and
// Ada signs in to what there was.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { start } from './appliance.mjs';
import { call, enter, open, press, root, shot, signIn, step, switchTo, tell } from './browser.mjs';
import { wizard } from './wizard.mjs';

// A key of nobody's: that of age's own documentation.
const otherKit = 'AGE-SECRET-KEY-1GQ9778VQXMMJVE8SK7J6VT8UJ4HDQAJUVSFCWCM02D8GEWQ72PVQ2Y5J33';

/** A port that nobody has: the restored appliance starts anew on the one it had. */
async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((ready) => server.once('listening', ready));
  const { port } = server.address();
  await new Promise((closed) => server.close(closed));
  return port;
}

async function chooseTarget(page, appliance, target) {
  await page.goto(`${appliance.url}/backups`);
  await page.getByText('Nothing is backed up.').waitFor();
  await shot(page, 'backups-none');
  await page.goto(`${appliance.url}/backups/settings`);
  await page.getByRole('radio', { name: /^An SFTP server/ }).check({ force: true });
  await shot(page, 'backups-settings-sftp');
  await page.getByRole('radio', { name: /^Object storage/ }).check({ force: true });
  await shot(page, 'backups-settings-s3');
  await page.getByRole('radio', { name: /^A directory/ }).check({ force: true });
  await page.getByLabel('Path on this machine').fill(join(target, 'missing'));
  await press(page, 'Test the place');
  await page.getByRole('alert').getByText(/missing/).first().waitFor();
  await shot(page, 'backups-settings-refused');
  await page.getByLabel('Path on this machine').fill(target);
  await press(page, 'Test the place');
  await page.getByText(/^It works/).waitFor();
  await press(page, 'Save settings');
  await page.getByText(/^Saved/).waitFor();
  await shot(page, 'backups-settings');
}

async function stopOne(page, appliance) {
  await page.goto(`${appliance.url}/backups`);
  await press(page, 'Back up now');
  await page.getByRole('button', { name: /^Stop/ }).click();
  await page.getByRole('button', { name: /^Stop the (backup|check)$/ }).click();
  // When it was made by then only its check is stopped.
  await page.getByText(/^(It was stopped\.|not yet)$/).first().waitFor({ timeout: 60_000 });
  await shot(page, 'backups-stopped');
}

async function makeOne(page) {
  await press(page, 'Back up now');
  await page.getByRole('progressbar').first().waitFor();
  await shot(page, 'backups-running');
  await page.getByText('Backups can be relied on.').waitFor({ timeout: 120_000 });
  await shot(page, 'backups');
  await page.getByRole('button', { name: /^Details/ }).first().click();
  await shot(page, 'backups-details');
  await page.keyboard.press('Escape');
}

async function restore(page, target, kit) {
  await page.getByRole('radio', { name: /^Restore from a backup/ }).check({ force: true });
  await press(page, 'Continue');
  await page.getByLabel('Path on this machine').fill(target);
  await page.getByLabel('Text of the kit').fill(otherKit);
  await press(page, 'Look for backups');
  await page.getByRole('alert').getByText(/kit|key/i).first().waitFor();
  await shot(page, 'restore-wrong-kit');
  assert.equal(await page.getByLabel('Path on this machine').inputValue(), target, 'what was typed is gone');
  await page.getByLabel('Text of the kit').fill(kit);
  await press(page, 'Look for backups');
  await page.getByRole('group', { name: 'Which backup' }).waitFor();
  await shot(page, 'restore-which');
  await press(page, 'Restore it');
  await page.getByText('Everything is there and was checked.').waitFor({ timeout: 120_000 });
  await shot(page, 'restore-done');
  await page.getByRole('button', { name: 'Sign in', exact: true }).click({ timeout: 60_000 });
  await page.getByLabel('E-mail address').waitFor();
}

await tell(async (browser, first) => {
  const target = mkdtempSync(join(tmpdir(), 'nimbus-e2e-backups-'));
  let second;
  try {
    const kit = await step('the wizard makes an appliance and its recovery kit', async () => {
      const page = await open(browser, first, '/');
      return wizard(page, first);
    });
    const page = await enter(browser, first, 'ada@example.com');
    await switchTo(page, 'Acme');
    await call(page, 'POST', '/groups', { name: 'Before the loss' }, 201);
    await switchTo(page, 'Provider Root');
    await step('a place for backups is tried and chosen', () => chooseTarget(page, first, target));
    await step('a backup that is being made is stopped', () => stopOne(page, first));
    await step('a backup is made and proven', () => makeOne(page));
    await step('the machine is lost', async () => {
      await first.stop('SIGKILL');
      first.remove();
    });
    second = await start(join(root, 'build/nimbus'), undefined, `127.0.0.1:${await freePort()}`);
    await step('the first screen of another restores it, with the right kit only', async () => {
      const fresh = await open(browser, second, '/');
      await fresh.getByLabel('Setup token').fill(await second.token());
      await press(fresh, 'Begin');
      await restore(fresh, target, kit);
    });
    await step('Ada signs in and finds what there was', async () => {
      const page = await signIn(browser, second, 'ada@example.com');
      await page.getByRole('navigation').first().waitFor();
      await switchTo(page, 'Acme');
      const groups = await call(page, 'GET', '/groups', null, 200);
      assert.deepEqual(groups.items.map((g) => g.name), ['Before the loss']);
      const trail = await call(page, 'POST', '/audit/verify', {}, 200);
      assert.ok(trail.ok, 'the audit trail does not hold');
      await switchTo(page, 'Provider Root');
      const told = await call(page, 'GET', '/audit/records?event=backup.appliance.restored', null, 200);
      assert.equal(told.items.length, 1);
      await page.goto(`${second.url}/backups`);
      await page.getByText('Backups can be relied on.').waitFor();
      await shot(page, 'restored');
    });
  } finally {
    await second?.stop();
    second?.remove();
    rmSync(target, { recursive: true, force: true });
  }
});
