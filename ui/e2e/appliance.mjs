// Starts the product's binary on an empty data directory and reads from its
// console what a person would read there.
import { spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const deadline = 60_000;

/** Runs `nimbus serve`; dir is made when none is given, and the port is a free one. */
export async function start(binary, dir, listen = '127.0.0.1:0') {
  const data = dir ?? mkdtempSync(join(tmpdir(), 'nimbus-e2e-'));
  chmodSync(data, 0o755); // as root, Postgres runs as another user
  const began = Date.now();
  const child = spawn(binary, ['serve', '--data-dir', data, '--listen', listen, '--log-level', 'warn'], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const seen = { out: '', err: '' };
  child.stdout.on('data', (chunk) => (seen.out += chunk));
  child.stderr.on('data', (chunk) => (seen.err += chunk));
  const ended = new Promise((done) => child.once('exit', (code, signal) => done({ code, signal })));
  const look = (pattern) => until(() => pattern.exec(seen.out)?.[1], () => `${seen.out}\n${seen.err}`, child);
  const url = await look(/(https:\/\/127\.0\.0\.1:\d+)/);
  return {
    data,
    url,
    bootMilliseconds: Date.now() - began,
    pid: child.pid,
    token: () => look(/Setup token\s+(\S+)/),
    log: () => seen.err,
    async stop(signal = 'SIGINT') {
      child.kill(signal);
      return ended;
    },
    remove: () => rmSync(data, { recursive: true, force: true }),
  };
}

async function until(probe, explain, child) {
  for (const end = Date.now() + deadline; Date.now() < end; await new Promise((r) => setTimeout(r, 20))) {
    const found = probe();
    if (found) return found;
    if (child.exitCode !== null) break;
  }
  throw new Error(`the appliance did not start:\n${explain()}`);
}
