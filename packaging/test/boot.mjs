// Boots the disk image in QEMU, as Proxmox VE would, and looks at it from outside.
//
//   node packaging/test/boot.mjs IMAGE.qcow2 [power-cut]
//
// 1. The serial console shows an address, a setup token and a fingerprint; the wizard can be
//    reached and takes that token; every unit is well, and the disk has grown.
// 2. power-cut: the appliance is set up through the guest agent, a deployment is cut off
//    in the middle by killing the machine, and has succeeded after the next boot, once.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const [image, mode] = process.argv.slice(2);
const dir = mkdtempSync(join(tmpdir(), 'nimbus-boot-'));
const disk = join(dir, 'disk.qcow2');
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const step = (text) => console.log(`--> ${text} (${Math.round(process.uptime())} s)`);

// Software emulation works everywhere and takes some minutes; NIMBUS_ACCEL=kvm is quicker.
const accel = process.env.NIMBUS_ACCEL ?? 'tcg';
const limit = (accel === 'kvm' ? 180 : 900) * 1000;

async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1');
  await new Promise((done) => server.once('listening', done));
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

class Machine {
  async start() {
    this.port = await freePort();
    this.url = `https://127.0.0.1:${this.port}`;
    this.serial = join(dir, `serial-${this.port}`);
    this.agent = join(dir, 'agent');
    rmSync(this.agent, { force: true });
    const args = ['-accel', accel, '-cpu', accel === 'kvm' ? 'host' : 'max', '-m', '2048', '-smp', '2', '-display', 'none', '-monitor', 'none'];
    args.push('-drive', `file=${disk},if=virtio,cache=writethrough`, '-serial', `file:${this.serial}`);
    args.push('-netdev', `user,id=n,hostfwd=tcp:127.0.0.1:${this.port}-:8443`, '-device', 'virtio-net-pci,netdev=n');
    args.push('-device', 'virtio-serial', '-chardev', `socket,path=${this.agent},server=on,wait=off,id=a`, '-device', 'virtserialport,chardev=a,name=org.qemu.guest_agent.0');
    this.process = spawn('qemu-system-x86_64', args, { stdio: ['ignore', 'inherit', 'inherit'] });
    this.ended = new Promise((done) => this.process.once('exit', done));
  }

  console() {
    return existsSync(this.serial) ? readFileSync(this.serial, 'utf8') : '';
  }

  /** The power is cut: nothing is told to anybody inside. */
  async kill() {
    this.process.kill('SIGKILL');
    await this.ended;
  }

  async seen(pattern) {
    for (const end = Date.now() + limit; Date.now() < end; await sleep(500)) {
      const found = pattern.exec(this.console());
      if (found) return found[1];
      assert.ok(this.process.exitCode === null && this.process.signalCode === null, 'QEMU ended');
    }
    throw new Error(`${pattern} is not on the console:\n${this.console().slice(-4000)}`);
  }

  /** Runs a program inside through the guest agent and returns what it printed. */
  async run(path, ...arg) {
    const { pid } = await this.ask('guest-exec', { path, arg, 'capture-output': true });
    for (const end = Date.now() + limit; Date.now() < end; await sleep(300)) {
      const state = await this.ask('guest-exec-status', { pid });
      if (!state.exited) continue;
      const text = (name) => Buffer.from(state[name] ?? '', 'base64').toString();
      assert.equal(state.exitcode, 0, `${path} ${arg.join(' ')}: ${text('out-data')}${text('err-data')}`);
      return text('out-data');
    }
    throw new Error(`${path} does not end`);
  }

  async write(path, content) {
    const handle = await this.ask('guest-file-open', { path, mode: 'w' });
    await this.ask('guest-file-write', { handle, 'buf-b64': Buffer.from(content).toString('base64') });
    await this.ask('guest-file-close', { handle });
  }

  ask(execute, args) {
    return new Promise((done, fail) => {
      const socket = net.connect(this.agent);
      let text = '';
      socket.setTimeout(limit, () => socket.destroy(new Error(`the guest agent does not answer ${execute}`)));
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

  drive(...args) {
    const env = { ...process.env, DRIVE_SECONDS: String(limit / 1000) };
    return execFileSync(process.execPath, [join(here, 'drive.mjs'), this.url, ...args], { env, encoding: 'utf8' }).trim();
  }
}

async function wizard(machine) {
  await machine.start();
  const token = await machine.seen(/Setup token\s+([0-9A-Z]{4}(?:-[0-9A-Z]{4}){3})/);
  step('the console shows a setup token');
  await machine.seen(/Address\s+(https:\/\/10\.0\.2\.15:8443)/);
  await machine.seen(/Fingerprint\s+((?:[0-9A-F]{2}:){31}[0-9A-F]{2})/);
  machine.drive('wizard', token);
  step('the wizard takes it');
}

async function healthy(machine) {
  const failed = await machine.run('/usr/bin/systemctl', 'list-units', '--state=failed', '--no-legend', '--plain');
  assert.equal(failed.trim(), '', 'units that failed');
  const size = Number((await machine.run('/usr/bin/findmnt', '-bno', 'SIZE', '/')).trim());
  assert.ok(size > 7e9, `the file system has not grown: ${size}`);
  const state = await machine.run('/usr/bin/systemctl', 'show', 'nimbus', '-p', 'ActiveState,StatusText,WatchdogTimestamp,NRestarts');
  assert.match(state, /ActiveState=active/);
  assert.match(state, /StatusText=(Waiting|Serving)/);
  assert.match(state, /NRestarts=0/);
  const security = await machine.run('/usr/bin/systemd-analyze', 'security', '--no-pager', 'nimbus.service');
  const exposure = Number(/exposure level for nimbus.service: ([\d.]+)/.exec(security)[1]);
  assert.ok(exposure <= 2, `exposure ${exposure}`);
  step(`every unit is well, the disk has grown, exposure ${exposure}`);
}

async function powerCut(machine) {
  await machine.run('/usr/bin/systemctl', 'stop', 'nimbus');
  await machine.run('/usr/bin/mkdir', '/root/setup');
  await machine.write('/root/setup/answers.yaml', readFileSync(join(here, 'answers.yaml'), 'utf8'));
  await machine.write('/root/setup/password', 'correct horse battery staple\n');
  await machine.run('/usr/bin/nimbus', 'setup', '--answers', '/root/setup/answers.yaml');
  await machine.run('/usr/bin/systemctl', 'start', 'nimbus');
  machine.drive('ready');
  machine.drive('deploy', 'before');
  step('set up, and a machine deployed under the hardened service');
  const id = machine.drive('begin', 'cut');
  await machine.kill();
  step('the power is cut in the middle of a deployment');
  await machine.start();
  machine.drive('ready');
  machine.drive('await', id);
  machine.drive('count', '2');
  await healthy(machine);
  step('the deployment has succeeded after the next boot');
}

execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-F', 'qcow2', '-b', resolve(image), disk, '8G']);
const machine = new Machine();
try {
  step(`booting with ${accel}`);
  await wizard(machine);
  await healthy(machine);
  if (mode === 'power-cut') await powerCut(machine);
} finally {
  if (machine.process) await machine.kill();
  if (!process.env.NIMBUS_KEEP) rmSync(dir, { recursive: true, force: true });
}
