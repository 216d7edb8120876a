// The first-run wizard, as a person does it.
import { readFileSync } from 'node:fs';

import { press, password, shot } from './browser.mjs';

/** Does the wizard on an empty appliance and returns its recovery kit; Ada administers the tenant Acme. */
export async function wizard(page, appliance) {
  await page.goto(appliance.url);
  await page.getByLabel('Setup token').fill(await appliance.token());
  await shot(page, 'setup-1-token');
  await press(page, 'Begin');
  await page.getByRole('radio', { name: /^Set up new/ }).waitFor();
  await shot(page, 'setup-1-begin');
  await press(page, 'Continue');
  await page.getByLabel('Name', { exact: true }).fill('Homelab');
  await page.getByLabel('Address').fill(appliance.url);
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
  const kit = readFileSync(path, 'utf8');
  await shot(page, 'setup-7-recovery-kit');
  await page.locator('input[type=file]').setInputFiles(path);
  const verify = page.getByRole('button', { name: /prove|verify|decrypt|check/i });
  if (await verify.isVisible()) await verify.click();
  await press(page, 'Continue');
  await shot(page, 'setup-8-done');
  await page.locator('button.primary').last().click();
  await page.getByLabel('E-mail address').waitFor();
  return kit;
}
