// Measures the product's binary from outside: size, time to the wizard on an
// empty machine, time to sign-in on a set-up one, and what it needs when idle
// (PSS and CPU of the whole process tree). Prints numbers; never fails on a
// slow machine.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import https from 'node:https';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import { start } from './appliance.mjs';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..');
const binary = join(root, 'build/nimbus');
const idleSeconds = 30;

const answers = (kit) => `appliance: {name: Bench, url: "https://127.0.0.1:8443", time_zone: UTC, certificate: {mode: self_signed}}
database: {mode: embedded}
hsm: {mode: none}
organisation: {tenant_name: Acme, admin_name: Ada Admin, admin_email: ada@example.com, admin_password: correct horse battery staple}
proxmox: {mode: later}
recovery_kit: {path: ${kit}}
`;

function get(url) {
  return new Promise((done) => {
    https
      .get(url, { rejectUnauthorized: false, agent: false }, (response) => {
        response.resume();
        response.on('end', () => done(response.statusCode));
      })
      .on('error', () => done(0));
  });
}

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

/** The process and everything below it. */
function tree(pid) {
  const parents = new Map();
  for (const name of readdirSync('/proc').filter((n) => /^\d+$/.test(n))) {
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
      parents.set(Number(name), Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]));
    } catch {
      // it has ended meanwhile
    }
  }
  const all = [pid];
  for (let i = 0; i < all.length; i++) {
    for (const [child, parent] of parents) if (parent === all[i]) all.push(child);
  }
  return all;
}

function pss(pids) {
  return pids.reduce((sum, pid) => {
    try {
      return sum + Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))[1]);
    } catch {
      return sum;
    }
  }, 0);
}

/** CPU time in clock ticks, of which there are 100 in a second. */
function ticks(pids) {
  return pids.reduce((sum, pid) => {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return sum + Number(fields[11]) + Number(fields[12]);
    } catch {
      return sum;
    }
  }, 0);
}

const print = (what, value, limit) => console.log(`${what.padEnd(34)} ${value.padStart(12)}   (goal ${limit})`);

async function until(url, status, began) {
  while ((await get(url)) !== status) await sleep(10);
  return Date.now() - began;
}

const first = await start(binary);
const page = first.bootMilliseconds + (await until(`${first.url}/`, 200, Date.now()));
await first.stop();
first.remove();

const dir = mkdtempSync(join(tmpdir(), 'nimbus-bench-'));
const file = join(dir, 'answers.yaml');
writeFileSync(file, answers(join(dir, 'kit.txt')));
const data = join(dir, 'data');
execFileSync('chmod', ['755', dir]);
const setupBegan = Date.now();
execFileSync(binary, ['setup', '--answers', file, '--data-dir', data, '--listen', '127.0.0.1:0', '--log-level', 'error'], { stdio: 'ignore' });
const setup = Date.now() - setupBegan;

const warm = await start(binary, data);
const signIn = warm.bootMilliseconds + (await until(`${warm.url}/v1/session`, 401, Date.now()));
await sleep(15_000);
const pids = tree(warm.pid);
const before = ticks(pids);
await sleep(idleSeconds * 1000);
const cpu = (ticks(tree(warm.pid)) - before) / idleSeconds;
const memory = pss(tree(warm.pid)) / 1000;
await warm.stop();
execFileSync('rm', ['-rf', dir]);

print('binary', `${(statSync(binary).size / 1e6).toFixed(0)} MB`, '230 MB');
print('first start to the wizard page', `${page} ms`, '5000 ms');
print('set-up without a browser, whole', `${setup} ms`, 'none');
print('later start to sign-in', `${signIn} ms`, '2500 ms');
print('idle memory (PSS of the tree)', `${memory.toFixed(0)} MB`, '450 MB');
print('idle CPU', `${cpu.toFixed(1)} %`, '5 % of a core');
