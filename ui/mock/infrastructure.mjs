// Made-up clusters, what is on them, and their tasks.
import { routes as stackRoutes } from './stacks.mjs';
import { ago, id, page, problem } from './made-up.mjs';
import { broadcast } from './socket.mjs';

const fingerprint = 'B4:1C:7E:90:AA:31:5D:0F:6C:E2:18:77:3B:9D:44:C8:02:FA:61:E7:5B:13:8E:90:27:DC:46:A3:F1:0B:95:6E';
const offered = 'B4:9A:02:5E:AA:31:70:D1:6C:E2:C4:77:08:9D:44:13:8F:FA:61:2B:5B:13:8E:66:27:DC:9B:A3:F1:4D:95:E0';

const connections = [
  { id: id(1), name: 'home', url: 'https://pve.home.arpa:8006', token_id: 'nimbus@pve!nimbus', fingerprint, simulated: false, status: 'ok', status_detail: '', collected_at: ago(0.4), version: '9.1.7' },
  { id: id(2), name: 'garage', url: 'https://10.0.9.2:8006', token_id: 'nimbus@pve!nimbus', fingerprint, simulated: false, status: 'unreachable', status_detail: 'No answer from 10.0.9.2:8006 since 12 minutes; trying again every minute.', collected_at: ago(12), version: '8.4.1' },
  { id: id(3), name: 'workshop', url: 'https://192.168.40.10:8006', token_id: 'nimbus@pve!nimbus', fingerprint, simulated: false, status: 'fingerprint_changed', status_detail: 'The cluster shows another certificate than the one you accepted.', collected_at: ago(95), version: '9.1.7', offered_fingerprint: offered },
  { id: id(4), name: 'playground', url: 'https://127.0.0.1:38006', token_id: 'nimbus@pve!nimbus', fingerprint, simulated: true, status: 'ok', status_detail: '', collected_at: ago(0.2), version: '9.1.7' },
];
const lines = [
  'pveum user add nimbus@pve --comment "Nimbus"',
  'pveum role add Nimbus --privs "Datastore.Allocate,Datastore.AllocateSpace,Datastore.AllocateTemplate,Datastore.Audit,Pool.Allocate,Pool.Audit,SDN.Use,Sys.Audit,VM.Allocate,VM.Audit,VM.Clone,VM.Config.CDROM,VM.Config.CPU,VM.Config.Cloudinit,VM.Config.Disk,VM.Config.Memory,VM.Config.Network,VM.Config.Options,VM.PowerMgmt"',
  'pveum acl modify / --users nimbus@pve --roles Nimbus',
  'pveum user token add nimbus@pve nimbus --privsep 0',
];
const privileges = (missing) =>
  ['Datastore.Allocate', 'Datastore.AllocateSpace', 'Datastore.Audit', 'Pool.Allocate', 'Sys.Audit', 'VM.Allocate', 'VM.Audit', 'VM.Clone', 'VM.Config.Disk', 'VM.PowerMgmt'].map((privilege) => ({
    path: privilege.startsWith('Datastore') ? '/storage' : privilege.startsWith('VM') ? '/vms' : '/',
    privilege,
    ok: !missing.includes(privilege),
  }));

const GiB = 2 ** 30;
const names = ['web', 'media', 'dns', 'build', 'git', 'mail', 'cache', 'db', 'proxy', 'backup', 'home-assistant', 'paperless'];
function guest(n) {
  const kind = n % 3 === 1 ? 'container' : 'vm';
  const template = n % 17 === 9;
  const status = template || n % 7 === 3 ? 'stopped' : n % 23 === 5 ? 'paused' : 'running';
  const on = status === 'running';
  const memory = [1, 2, 4, 8, 16][n % 5] * GiB;
  const connection = n % 11 === 6 ? 2 : 1;
  return {
    id: id(10_000 + n), connection_id: id(connection), kind, key: `${kind === 'vm' ? 'qemu' : 'lxc'}/${100 + n}`,
    name: `${names[n % names.length]}-${String(1 + Math.floor(n / names.length)).padStart(2, '0')}`,
    node: connection === 2 ? 'garage1' : `pve${1 + (n % 3)}`, status, managed: n % 4 === 0, ...(n % 4 === 0 ? { stack_id: id(51) } : {}),
    properties: {
      vmid: 100 + n, cores: [1, 2, 4, 8][n % 4], cpu: on ? ((n * 37) % 97) / 100 : 0, memory_bytes: memory,
      memory_used_bytes: on ? Math.round(memory * (((n * 53) % 99) / 100)) : 0, disk_bytes: (8 + (n % 8) * 16) * GiB,
      uptime_seconds: on ? 3600 * (1 + ((n * 91) % 2000)) : 0, tags: n % 4 === 0 ? ['nimbus', 'prod'] : n % 5 === 0 ? ['lab'] : [],
      template, ...(n % 2 ? { pool: 'services' } : {}),
    },
    collected_at: ago(connection === 2 ? 12 : 0.4), last_seen_at: ago(connection === 2 ? 12 : 0.4), stale: connection === 2,
  };
}
const base = (n, kind, key, name, node, status, properties, connection = 1) => ({
  id: id(20_000 + n), connection_id: id(connection), kind, key, name, node, status, managed: false, properties,
  collected_at: ago(connection === 2 ? 12 : 0.4), last_seen_at: ago(connection === 2 ? 12 : 0.4), stale: connection === 2,
});
const load = (cpu, used, total) => ({ cores: 16, cpu, memory_bytes: total * GiB, memory_used_bytes: used * GiB, disk_bytes: 94 * GiB, uptime_seconds: 3_920_000 });
const around = [
  base(1, 'node', 'node/pve1', 'pve1', 'pve1', 'online', load(0.31, 71, 128)),
  base(2, 'node', 'node/pve2', 'pve2', 'pve2', 'online', load(0.88, 121, 128)),
  base(3, 'node', 'node/pve3', 'pve3', 'pve3', 'offline', {}),
  base(4, 'node', 'node/garage1', 'garage1', 'garage1', 'online', load(0.07, 9, 32), 2),
  ...[1, 2, 3].flatMap((n) => [
    base(10 * n, 'storage', `storage/pve${n}/local`, 'local', `pve${n}`, 'available', { type: 'dir', content: ['backup', 'import', 'iso', 'vztmpl'], shared: false, disk_bytes: 94 * GiB, disk_used_bytes: (20 + n * 20) * GiB }),
    base(10 * n + 1, 'storage', `storage/pve${n}/local-lvm`, 'local-lvm', `pve${n}`, 'available', { type: 'lvmthin', content: ['images', 'rootdir'], shared: false, disk_bytes: 1800 * GiB, disk_used_bytes: n * 580 * GiB }),
    base(10 * n + 2, 'network', `network/pve${n}/bridge/vmbr0`, 'vmbr0', `pve${n}`, 'active', { type: 'bridge', cidr: `192.168.1.1${n}/24`, ports: 'eno1', comment: 'LAN', vlan_aware: true }),
    base(10 * n + 3, 'network', `network/pve${n}/bridge/vmbr1`, 'vmbr1', `pve${n}`, n === 3 ? 'inactive' : 'active', { type: 'bridge', cidr: '', ports: '', comment: 'Storage', vlan_aware: false }),
  ]),
  base(50, 'storage', 'storage/pve1/nas', 'nas', 'pve1', 'available', { type: 'nfs', content: ['backup', 'images'], shared: true, disk_bytes: 18_000 * GiB, disk_used_bytes: 16_900 * GiB }),
  base(60, 'pool', 'pool/services', 'services', '', 'ok', {}),
  base(61, 'pool', 'pool/lab', 'lab', '', 'ok', {}),
];
const guests = Array.from({ length: 1000 }, (_, n) => guest(n));
const inventory = (scenario) => (scenario.empty ? [] : [...guests.slice(0, scenario.large ? 1000 : 46), ...around]);

function listed({ scenario, query }) {
  const limit = Number(query.get('limit') ?? 50);
  const from = Number(query.get('cursor') ?? 0);
  const all = inventory(scenario).filter((item) => ['kind', 'connection_id'].every((name) => !query.get(name) || item[name] === query.get(name)));
  const next = from + limit < all.length ? String(from + limit) : null;
  return [200, { items: all.slice(from, from + limit), next, collected_at: scenario.empty ? null : ago(0.4), stale: !scenario.empty }];
}
const find = (wanted) => [...guests, ...around].find((item) => item.id === wanted);

const logs = new Map();
const task = (n, item, type, status, minutes, more = {}) => ({
  id: id(40_000 + n), upid: `UPID:${item.node}:000A2C1F:013B5D7A:6925F1A0:${type}:${item.properties.vmid}:nimbus@pve!nimbus:`, connection_id: item.connection_id,
  node: item.node, type, item_id: item.id, status, exit_status: status === 'ok' ? 'OK' : '', started_at: ago(minutes), ended_at: status === 'running' ? null : ago(minutes - 0.1), actor_name: 'Ada Berger', ...more,
});
const tasks = [
  task(1, guests[0], 'qmreboot', 'ok', 190),
  task(2, guests[0], 'qmstart', 'failed', 205, { exit_status: "start failed: storage 'nas' is not online" }),
  task(3, guests[0], 'qmcreate', 'ok', 20_000, { actor_name: 'Jonas Weiß' }),
];
logs.set(tasks[0].id, ['requesting reboot of VM 100', 'VM 100 rebooted', 'TASK OK']);
logs.set(tasks[1].id, ['generating cloud-init ISO', "TASK ERROR: start failed: storage 'nas' is not online"]);

const outcome = { start: 'running', resume: 'running', reboot: 'running', stop: 'stopped', shutdown: 'stopped', suspend: 'paused' };
function power({ params, body }) {
  const item = find(params[0]);
  const prefix = item.kind === 'vm' ? 'qm' : 'vz';
  const made = task(100 + tasks.length, item, `${prefix}${body.action}`, 'running', 0);
  tasks.unshift(made);
  logs.set(made.id, []);
  const said = [`requesting ${body.action} of ${item.key}`, 'generating cloud-init ISO', 'waiting for the guest …', 'guest answers', 'TASK OK'];
  said.forEach((line, at) => setTimeout(() => {
    const log = logs.get(made.id);
    broadcast('task.log', made.id, { lines: [line], from: log.length });
    log.push(line);
    if (at < said.length - 1) return;
    Object.assign(made, { status: 'ok', exit_status: 'OK', ended_at: ago(0) });
    Object.assign(item, { status: outcome[body.action] });
    broadcast('task.updated', made.id, made);
    broadcast('inventory.updated', item.connection_id, {});
  }, 700 * (at + 1)));
  return [202, made];
}

function test({ body }) {
  if (body.url.includes('offline')) return [200, { ok: false, message: `${body.url} does not answer. Check the address and that port 8006 is open.`, version: '', fingerprint: '', privileges: [] }];
  const missing = body.token_secret === 'weak' ? ['Sys.Audit', 'VM.Clone'] : [];
  const message = missing.length ? 'The token works but lacks privileges. Run the second and third line again, then test once more.' : 'The cluster answers and the token may do everything Nimbus needs.';
  return [200, { ok: missing.length === 0, message, version: '9.1.7', fingerprint, privileges: privileges(missing) }];
}

function add({ body }) {
  if (connections.some((each) => each.name === body.name)) return problem(409, 'conflict', `There is already a connection called ${body.name}. Choose another name.`, [{ location: 'body.name', message: 'Already taken' }]);
  connections.push({ id: id(70 + connections.length), simulated: false, status: 'ok', status_detail: '', collected_at: null, version: '9.1.7', fingerprint, ...body, token_secret: undefined });
  return [201, connections.at(-1)];
}

function accept({ params, body }) {
  const one = connections.find((each) => each.id === params[0]);
  Object.assign(one, { fingerprint: body.fingerprint, status: 'ok', status_detail: '', offered_fingerprint: undefined, collected_at: ago(0) });
  return [200, one];
}

/** Everything under connections, inventory and tasks, with stacks and deployments. */
export const routes = [
  ['GET', /^\/v1\/connections$/, ({ scenario }) => page(scenario.empty ? [] : connections)],
  ['GET', /^\/v1\/connections\/commands$/, () => [200, { lines }]],
  ['POST', /^\/v1\/connections\/test$/, test],
  ['POST', /^\/v1\/connections$/, add],
  ['POST', /^\/v1\/connections\/([^/]+)\/collect$/, ({ params }) => {
    setTimeout(() => {
      Object.assign(connections.find((each) => each.id === params[0]), { collected_at: ago(0) });
      broadcast('inventory.updated', params[0], {});
    }, 1500);
    return [202];
  }],
  ['POST', /^\/v1\/connections\/([^/]+)\/fingerprint$/, accept],
  ['DELETE', /^\/v1\/connections\/([^/]+)$/, ({ params }) => { connections.splice(connections.findIndex((each) => each.id === params[0]), 1); return [204]; }],
  ['GET', /^\/v1\/inventory$/, (asked) => asked.scenario.failing ? problem(503, 'unavailable', 'The database does not answer since two minutes. See System health, then try again.') : listed(asked)],
  ['GET', /^\/v1\/inventory\/([^/]+)$/, ({ params }) => find(params[0]) ? [200, find(params[0])] : problem(404, 'not_found', 'This does not exist. Go back to the list.')],
  ['POST', /^\/v1\/inventory\/([^/]+)\/power$/, power],
  ['GET', /^\/v1\/tasks$/, ({ query }) => page(tasks.filter((each) => each.item_id === query.get('item_id')))],
  ['GET', /^\/v1\/tasks\/([^/]+)\/log$/, ({ params }) => [200, { lines: logs.get(params[0]) ?? [] }]],
  ['GET', /^\/v1\/tasks\/([^/]+)$/, ({ params }) => [200, tasks.find((each) => each.id === params[0])]],
  ...stackRoutes,
];
