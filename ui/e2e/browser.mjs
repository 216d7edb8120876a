// What the stories in a browser share: steps with their times, screenshots in
// light and dark, requests as a page's person, and the frame that runs a story
// against the product's binary.
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import { chromium } from 'playwright-core';

import { start } from './appliance.mjs';

export const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..');
export const password = 'correct horse battery staple';
const shots = join(root, 'build/screenshots');
const flags = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--ignore-certificate-errors']; // passkeys want a certificate without errors

let passed = 0;
const complaints = [];

/** What a browser says of answers that refuse, a socket's handshake among them, as that of a session that just changed. */
const refusal = /^Failed to load resource|^WebSocket connection to .* failed: Error during WebSocket handshake: Unexpected response code/;

/** Notes what the page's own scripts complain about; answers that refuse are not their fault. */
function listen(page) {
  page.on('pageerror', (error) => complaints.push(`${page.url()}: ${error}`));
  page.on('console', (message) => {
    if (message.type() === 'error' && !refusal.test(message.text())) complaints.push(`${page.url()}: ${message.text()}`);
  });
}

/** Runs one step and says how long it took. */
export async function step(name, run) {
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

/** Takes a picture in light and in dark. */
export async function shot(page, name) {
  for (const scheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme: scheme, reducedMotion: 'reduce' });
    await page.waitForTimeout(200);
    await page.screenshot({ path: join(shots, `${name}-${scheme}.png`) });
  }
  await page.emulateMedia({ colorScheme: 'light', reducedMotion: 'reduce' });
}

export const press = (page, name) => page.getByRole('button', { name, exact: true }).click();

/** Opens a page of its own, as another person's browser would be. */
export async function open(browser, appliance, path) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: { width: 1440, height: 900 } });
  const page = await context.newPage();
  await page.goto(`${appliance.url}${path}`);
  return page;
}

/** Signs in with the stories' password; who has a second factor is asked for it next. */
export async function signIn(browser, appliance, email, secret = password) {
  const page = await open(browser, appliance, '/sign-in');
  await page.getByLabel('E-mail address').fill(email);
  await press(page, 'Continue');
  await page.getByLabel('Password', { exact: true }).fill(secret);
  await press(page, 'Sign in');
  return page;
}

/** Signs in and waits for the first page. */
export async function enter(browser, appliance, email, secret) {
  const page = await signIn(browser, appliance, email, secret);
  await page.getByRole('navigation').first().waitFor();
  return page;
}

/** Sends a request as the page's person. */
export async function call(page, method, path, body, expected) {
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

/** Switches the page's person to a tenant by its name. */
export async function switchTo(page, name) {
  const session = await call(page, 'GET', '/session', null, 200);
  const tenant = session.tenants.find((t) => t.name === name);
  assert.ok(tenant, `${session.user.name} does not belong to ${name}`);
  await call(page, 'PUT', '/session/tenant', { tenant_id: tenant.id }, 200);
  await page.reload();
  return tenant.id;
}

/** Runs a story against a new appliance, and says what was seen when it fails. */
export async function tell(story) {
  mkdirSync(shots, { recursive: true });
  const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: flags });
  const appliance = await start(join(root, 'build/nimbus'));
  const context = browser.newContext.bind(browser);
  browser.newContext = async (options) => {
    const made = await context(options);
    made.on('page', listen);
    return made;
  };
  let failed = 0;
  try {
    await story(browser, appliance);
    assert.deepEqual(complaints, [], 'the pages complained');
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
}
