// Boots the disk image in QEMU, as Proxmox VE would, and looks at it from outside.
//
//   node packaging/test/boot.mjs IMAGE.qcow2
//
// 1. The serial console shows an address, a setup token and a fingerprint, the one that the
//    port really has. The first run is done through the wizard.
// 2. Every unit is well, the disk has grown, the service is as hardened as it should be, and
//    a machine can be deployed under it.
// 3. The power is cut while another machine is being made. After the next boot people sign in,
//    the deployment goes on by itself and makes that machine once, and the audit trail holds.
//
// KVM is used where it runs a guest, else software emulation, which takes ten minutes or more;
// NIMBUS_ACCEL says which. Nothing has a fixed time: what comes along is waited for.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { accessSync, constants, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import tls from 'node:tls';

const here = dirname(fileURLToPath(import.meta.url));
const [image] = process.argv.slice(2);
const dir = mkdtempSync(join(tmpdir(), 'nimbus-boot-'));
const disk = join(dir, 'disk.qcow2');
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const began = Date.now();
const step = (text) => console.log(`--> ${text} (${Math.round((Date.now() - began) / 1000)} s)`);

/** How long nothing may change. */
const stillness = { kvm: 120_000, tcg: 600_000 };
/** Within what time a kernel says that it runs: KVM can be there and not run this guest. */
const firstSign = 45_000;

async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1');
  await new Promise((done) => server.once('listening', done));
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

class Machine {
  boots = 0;

  constructor(accel) {
    this.accel = accel;
  }

  get limit() {
    return stillness[this.accel];
  }

  async start() {
    this.port = await freePort();
    this.url = `https://127.0.0.1:${this.port}`;
    this.serial = join(dir, `console-${++this.boots}-${this.accel}`);
    this.agent = join(dir, 'agent');
    rmSync(this.agent, { force: true });
    const args = ['-accel', this.accel, '-cpu', this.accel === 'kvm' ? 'host' : 'max', '-m', '2048', '-smp', '2', '-display', 'none', '-monitor', 'none'];
    args.push('-drive', `file=${disk},if=virtio,cache=writethrough`, '-serial', `file:${this.serial}`);
    args.push('-netdev', `user,id=n,hostfwd=tcp:127.0.0.1:${this.port}-:8443`, '-device', 'virtio-net-pci,netdev=n');
    args.push('-device', 'virtio-serial', '-chardev', `socket,path=${this.agent},server=on,wait=off,id=a`, '-device', 'virtserialport,chardev=a,name=org.qemu.guest_agent.0');
    this.started = Date.now();
    this.process = spawn('qemu-system-x86_64', args, { stdio: ['ignore', 'inherit', this.accel === 'kvm' ? 'ignore' : 'inherit'] });
    this.ended = new Promise((done) => this.process.once('exit', done));
  }

  get runs() {
    return this.process.exitCode === null && this.process.signalCode === null;
  }

  seconds() {
    return Math.round((Date.now() - this.started) / 1000);
  }

  console() {
    return existsSync(this.serial) ? readFileSync(this.serial, 'utf8') : '';
  }

  /** The power is cut: nothing is told to anybody inside. */
  async kill() {
    this.process.kill('SIGKILL');
    await this.ended;
  }

  /** Waits for a pattern on the console, as long as more appears there. */
  async seen(pattern, still = this.limit) {
    let length = 0;
    let grew = Date.now();
    for (; Date.now() - grew < still && this.runs; await sleep(500)) {
      const text = this.console();
      const found = pattern.exec(text);
      if (found) return found[1];
      if (text.length !== length) [length, grew] = [text.length, Date.now()];
    }
    throw new Error(`${pattern} is not on the console:\n${this.console().slice(-4000)}`);
  }

  /** Runs a program inside through the guest agent and returns what it printed. */
  async run(path, ...arg) {
    const { pid } = await this.ask('guest-exec', { path, arg, 'capture-output': true });
    for (const end = Date.now() + this.limit; Date.now() < end; await sleep(300)) {
      const state = await this.ask('guest-exec-status', { pid });
      if (!state.exited) continue;
      const text = (name) => Buffer.from(state[name] ?? '', 'base64').toString();
      assert.equal(state.exitcode, 0, `${path} ${arg.join(' ')}: ${text('out-data')}${text('err-data')}`);
      return text('out-data');
    }
    throw new Error(`${path} does not end`);
  }

  ask(execute, args) {
    return new Promise((done, fail) => {
      const socket = net.connect(this.agent);
      let text = '';
      socket.setTimeout(this.limit, () => socket.destroy(new Error(`the guest agent does not answer ${execute}`)));
      socket.on('error', fail);
      socket.on('data', (chunk) => {
        text += chunk;
        if (!text.includes('\n')) return;
        socket.end();
        const answer = JSON.parse(text);
        if (answer.error) fail(new Error(`${execute}: ${answer.error.desc}`));
        else done(answer.return);
      });
      socket.write(`${JSON.stringify({ execute, arguments: args })}\n`);
    });
  }

  /** The fingerprint of the certificate that the port has. */
  fingerprint() {
    return new Promise((done, fail) => {
      const socket = tls.connect({ host: '127.0.0.1', port: this.port, rejectUnauthorized: false }, () => {
        done(socket.getPeerCertificate().fingerprint256);
        socket.end();
      });
      socket.on('error', fail);
    });
  }

  drive(...args) {
    const env = { ...process.env, DRIVE_SECONDS: String(this.limit / 1000) };
    return execFileSync(process.execPath, [join(here, 'drive.mjs'), this.url, ...args], { env, encoding: 'utf8' }).trim();
  }
}

function kvmIsThere() {
  try {
    accessSync('/dev/kvm', constants.R_OK | constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

/** A machine whose kernel runs. */
async function boot() {
  for (const accel of process.env.NIMBUS_ACCEL ? [process.env.NIMBUS_ACCEL] : kvmIsThere() ? ['kvm', 'tcg'] : ['tcg']) {
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-F', 'qcow2', '-b', resolve(image), disk, '8G']);
    const machine = new Machine(accel);
    await machine.start();
    try {
      await machine.seen(/(Linux version)/, accel === 'kvm' ? firstSign : machine.limit);
      step(`boots with ${accel}`);
      return machine;
    } catch (error) {
      await machine.kill();
      if (accel !== 'kvm' || process.env.NIMBUS_ACCEL) throw error;
      step('KVM is there but runs no guest: going on with software emulation');
    }
  }
}

async function firstRun(machine) {
  const token = await machine.seen(/Setup token\s+([0-9A-Z]{4}(?:-[0-9A-Z]{4}){3})/);
  step(`the console shows a setup token, ${machine.seconds()} s after power-on`);
  await machine.seen(/Address\s+(https:\/\/10\.0\.2\.15:8443)/);
  const shown = await machine.seen(/Fingerprint\s+((?:[0-9A-F]{2}:){31}[0-9A-F]{2})/);
  assert.equal(await machine.fingerprint(), shown, 'the certificate of the port');
  await machine.run('/usr/bin/systemctl', 'is-system-running', '--wait');
  const below = machine.console().split('Setup token').at(-1).split('\n').length;
  assert.ok(below < 15, `the token has left the screen, ${below} lines came after it`);
  machine.drive('setup', token);
  machine.drive('ready');
  step('set up through the wizard');
}

async function healthy(machine) {
  const failed = await machine.run('/usr/bin/systemctl', 'list-units', '--state=failed', '--no-legend', '--plain');
  assert.equal(failed.trim(), '', 'units that failed');
  const size = Number((await machine.run('/usr/bin/findmnt', '-bno', 'SIZE', '/')).trim());
  assert.ok(size > 7e9, `the file system has not grown: ${size}`);
  const state = await machine.run('/usr/bin/systemctl', 'show', 'nimbus', '-p', 'ActiveState,StatusText,NRestarts');
  assert.match(state, /ActiveState=active/);
  assert.match(state, /StatusText=Serving/);
  assert.match(state, /NRestarts=0/);
  const security = await machine.run('/usr/bin/systemd-analyze', 'security', '--no-pager', 'nimbus.service');
  const exposure = Number(/exposure level for nimbus.service: ([\d.]+)/.exec(security)[1]);
  assert.ok(exposure <= 2, `exposure ${exposure}`);
  step(`every unit is well, the disk has grown, exposure ${exposure}`);
}

async function powerCut(machine) {
  const id = machine.drive('begin', 'cut');
  await machine.kill();
  step('the power is cut while a machine is being made');
  await machine.start();
  machine.drive('ready');
  step(`people can sign in again, ${machine.seconds()} s after power-on`);
  machine.drive('await', id);
  machine.drive('count', '2');
  machine.drive('machines', 'before', 'cut');
  step('the deployment went on and made one machine, and the audit trail holds');
  await healthy(machine);
  assert.doesNotMatch(machine.console(), /Setup token/);
}

let machine;
try {
  machine = await boot();
  await firstRun(machine);
  await healthy(machine);
  machine.drive('deploy', 'before');
  step('a machine deployed under the hardened service');
  await powerCut(machine);
} catch (error) {
  if (machine) console.error(machine.console().slice(-2000));
  console.error(error.stack);
  process.exitCode = 1;
} finally {
  if (machine?.runs) await machine.kill();
  if (!process.env.NIMBUS_KEEP) rmSync(dir, { recursive: true, force: true });
}
