// Opens every page against the mock server in Chromium, keeps a picture of each
// and checks it with axe. `npm run shots [part of a name]`; needs `npm run build`
// and a running `npm run mock`. SHOTS names the folder, CHROMIUM the browser.
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';

import { accessPages } from './shots-access.mjs';
import { auditPages } from './shots-audit.mjs';
import { infrastructurePages } from './shots-infrastructure.mjs';
import { peoplePages } from './shots-people.mjs';
import { systemPages } from './shots-system.mjs';
import { watchPages } from './shots-watch.mjs';

const base = process.env.BASE ?? 'http://127.0.0.1:4300';
const folder = process.env.SHOTS ?? '/tmp/shots';
const only = process.argv[2] ?? '';
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const quiet = { setup: false, empty: false, breakglass: false, signed_out: false, failing: false, refused: false, step_up: false, second_factor: false, enrol: false, elsewhere: false };
const click = (name) => (page) => page.getByRole('button', { name }).first().click();

const pages = [
  { name: 'dashboard', path: '/' },
  { name: 'dashboard-empty', path: '/', scenario: { empty: true } },
  { name: 'dashboard-breakglass', path: '/', scenario: { breakglass: true } },
  { name: 'palette', path: '/', act: (page) => page.keyboard.press('Control+k') },
  { name: 'shortcuts', path: '/', act: (page) => page.keyboard.press('?') },
  { name: 'break-glass', path: '/break-glass' },
  { name: 'break-glass-open', path: '/break-glass', scenario: { breakglass: true } },
  { name: 'break-glass-empty', path: '/break-glass', scenario: { empty: true } },
  { name: 'health', path: '/health' },
  { name: 'health-degraded', path: '/health', scenario: { breakglass: true } },
  { name: 'not-found', path: '/nowhere' },
  { name: 'setup-token', path: '/setup', scenario: { setup: true, setup_signed_in: false } },
  ...['appliance', 'database', 'hsm', 'organisation', 'proxmox', 'recovery_kit', 'done'].map((step) => ({
    name: `setup-${step}`,
    path: '/setup',
    scenario: { setup: true, setup_signed_in: true, setup_until: step },
  })),
  {
    name: 'setup-proxmox-tested',
    path: '/setup',
    scenario: { setup: true, setup_signed_in: true, setup_until: 'proxmox' },
    act: click('Test the connection'),
  },
  {
    name: 'setup-back',
    path: '/setup',
    scenario: { setup: true, setup_signed_in: true, setup_until: 'proxmox' },
    act: click('Appliance'),
  },
  ...auditPages,
  ...infrastructurePages,
  ...peoplePages,
  ...accessPages,
  ...watchPages,
  ...systemPages,
];

async function play(scenario) {
  const body = JSON.stringify({ ...quiet, ...scenario });
  await fetch(`${base}/mock/scenario`, { method: 'POST', body });
}

async function violations(page) {
  await page.evaluate(axe);
  const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
  // An open menu hangs over the page like a dialog and lies in no region of it.
  const rules = { region: { enabled: (await page.locator('.nb-menu').count()) === 0 } };
  const result = await page.evaluate((options) => globalThis.axe.run(document, options), { runOnly: tags, rules });
  return result.violations.flatMap((each) =>
    each.nodes.map((node) => `${each.id}: ${node.target.join(' ')} ${node.any[0]?.message ?? each.help}`),
  );
}

async function look(browser, one, colorScheme, width) {
  const page = await browser.newPage({ colorScheme, viewport: { width, height: width > 600 ? 900 : 844 } });
  const faults = [];
  page.on('pageerror', (error) => faults.push(`error: ${error.message}`));
  // What Angular catches is only written; answers that fail are part of the play.
  page.on('console', (line) => line.type() === 'error' && !line.text().includes('Failed to load') && faults.push(`console: ${line.text()}`));
  await play(one.scenario);
  await page.goto(base + one.path);
  await page.waitForSelector('h1');
  await page.waitForTimeout(500);
  await one.act?.(page);
  await page.waitForTimeout(one.act ? 600 : 0);
  await page.screenshot({ path: `${folder}/${one.name}-${colorScheme}-${width}.png`, fullPage: true });
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  if (wide > 0) faults.push(`${wide} px wider than the window`);
  faults.push(...(await violations(page)));
  await page.close();
  return faults;
}

mkdirSync(folder, { recursive: true });
const flags = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync'];
const quietFlags = ['--disable-background-networking', '--disable-component-update'];
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: [...flags, ...quietFlags],
});
let bad = 0;
for (const one of pages.filter((each) => each.name.includes(only))) {
  for (const [colorScheme, width] of [['light', 1440], ['dark', 1440], ['light', 390], ['dark', 390]]) {
    const faults = await look(browser, one, colorScheme, width).catch((error) => [error.message]);
    faults.forEach((fault) => console.log(`${one.name} ${colorScheme} ${width}  ${fault}`));
    bad += faults.length;
  }
}
await play({});
await browser.close();
console.log(`${bad} faults`);
process.exit(bad ? 1 : 0);
