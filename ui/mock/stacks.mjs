// Made-up stacks, templates and deployments; a deployment runs for a few seconds.
import { ago, id, page, problem } from './made-up.mjs';
import { broadcast } from './socket.mjs';

const mask = '••••••';
const program = `name: web-cluster
runtime: yaml
config:
  node: {type: string}
  vm_name: {type: string}
  cores: {type: integer}
  memory: {type: integer}
  password: {type: string, secret: true}
resources:
  image:
    type: proxmoxve:download/fileLegacy:FileLegacy
    properties:
      nodeName: \${node}
      datastoreId: local
      contentType: import
      url: https://cloud.debian.org/images/cloud/trixie/latest/debian-13-genericcloud-amd64.qcow2
  vm:
    type: proxmoxve:index/vmLegacy:VmLegacy
    properties:
      nodeName: \${node}
      name: \${vm_name}
      cpu: {cores: "\${cores}", type: x86-64-v2-AES}
      memory: {dedicated: "\${memory}"}
      disks:
        - interface: scsi0
          datastoreId: local-lvm
          importFrom: \${image.id}
          size: 20 # GiB
      networkDevices:
        - {bridge: vmbr0, model: virtio}
outputs:
  vmid: \${vm.vmId}
  name: \${vm.name}
`;
const stack = (n, name, status, count, more = {}) => ({
  id: id(50 + n), name, description: '', connection_id: id(1), program, status, resource_count: count,
  config: { node: { value: 'pve1', secret: false }, vm_name: { value: 'web', secret: false }, cores: { value: 2, secret: false }, memory: { value: 4096, secret: false }, password: { value: mask, secret: true } },
  outputs: status === 'deployed' ? { vmid: 100, name: 'web', address: '192.168.1.40' } : {}, last_deployment_id: id(100 + n), version: 7, created_at: ago(40_000), updated_at: ago(n * 70), ...more,
});
const stacks = [
  stack(1, 'web-cluster', 'busy', 4, { description: 'Three web servers behind the proxy' }),
  stack(2, 'media', 'deployed', 3, { description: 'Jellyfin and its disks' }),
  stack(3, 'dns', 'deployed', 2),
  stack(4, 'build-farm', 'failed', 5, { description: 'Runners for the workshop' }),
  stack(5, 'experiment', 'empty', 0, { outputs: {}, last_deployment_id: null }),
];

const parameter = (name, title, type, value, description = '', secret = false) => ({ name, title, type, default: value, required: true, description, secret });
const templates = [
  { name: 'vm-cloud-image', title: 'VM from a cloud image', description: 'Downloads a cloud image to the cluster and makes a VM from it, set up by cloud-init.', program, parameters: [
    parameter('node', 'Node', 'string', 'pve1', 'The node that runs the VM.'), parameter('vm_name', 'Name', 'string', 'web', 'Name of the VM, as in DNS.'),
    parameter('cores', 'CPU cores', 'integer', 2), parameter('memory', 'Memory (MiB)', 'integer', 2048), parameter('disk', 'Disk (GiB)', 'integer', 20, 'At least the size of the image.'),
    parameter('storage', 'Disk storage', 'string', 'local-lvm', 'Where the disk is kept.'), parameter('image_url', 'Image address', 'string', 'https://cloud.debian.org/images/cloud/trixie/latest/debian-13-genericcloud-amd64.qcow2', 'The node downloads it from here.'),
    parameter('bridge', 'Bridge', 'string', 'vmbr0'), parameter('user', 'User', 'string', 'ops', 'Made by cloud-init.'), parameter('password', 'Password', 'string', '', 'Of the user, for the console.', true)] },
  { name: 'vm-clone', title: 'VM from a template', description: 'Makes a full clone of a VM template of the cluster.', program, parameters: [parameter('node', 'Node', 'string', 'pve1'), parameter('template_id', 'Template', 'integer', 9000, 'VMID of the template.')] },
  { name: 'container', title: 'LXC container', description: 'Makes an unprivileged container from a container template that is on the cluster.', program, parameters: [parameter('node', 'Node', 'string', 'pve1'), parameter('start', 'Start it', 'boolean', true, 'After it was made.')] },
  { name: 'three-vm-app', title: 'Application of three VMs', description: 'A web server, an application server and a database in a pool of their own.', program, parameters: [parameter('node', 'Node', 'string', 'pve1')] },
];
const property = (name, type, required, description = '') => ({ name, type, required, description });
const schema = {
  resources: [
    { token: 'proxmoxve:index/vmLegacy:VmLegacy', description: 'A virtual machine.', properties: [property('nodeName', 'string', true, 'The node that runs it.'), property('name', 'string', false, 'As in DNS.'), property('cpu', 'proxmoxve:index/VmCpu:VmCpu', false), property('memory', 'proxmoxve:index/VmMemory:VmMemory', false), property('disks', 'list<proxmoxve:index/VmDisk:VmDisk>', false), property('started', 'boolean', false, 'Whether it is to run.')] },
    { token: 'proxmoxve:index/containerLegacy:ContainerLegacy', description: 'An LXC container.', properties: [property('nodeName', 'string', true)] },
    { token: 'proxmoxve:index/poolLegacy:PoolLegacy', description: 'A resource pool.', properties: [property('poolId', 'string', true)] },
    { token: 'proxmoxve:download/fileLegacy:FileLegacy', description: 'A file that the node downloads.', properties: [property('url', 'string', true)] },
  ],
  types: { 'proxmoxve:index/VmCpu:VmCpu': [property('cores', 'integer', false), property('type', 'string', false, 'Such as x86-64-v2-AES.')], 'proxmoxve:index/VmMemory:VmMemory': [property('dedicated', 'integer', false, 'MiB.')], 'proxmoxve:index/VmDisk:VmDisk': [property('interface', 'string', true, 'Such as scsi0.'), property('size', 'integer', false, 'GiB.')] },
};

const urn = (type, name) => `urn:pulumi:prod::web-cluster::${type}::${name}`;
const vmType = 'proxmoxve:index/vmLegacy:VmLegacy';
const diff = (path, old, now, more = {}) => ({ path, old, new: now, secret: false, replaces: false, ...more });
const change = (type, name, op, diffs) => ({ urn: urn(type, name), type, name, op, diffs });
const created = change(vmType, 'web-3', 'create', [diff('name', null, 'web-3'), diff('nodeName', null, 'pve2'), diff('cpu.cores', null, 2), diff('memory.dedicated', null, 4096), diff('disks[0].size', null, 20), diff('initialization.userAccount.password', null, mask, { secret: true })]);
const updated = change(vmType, 'web-1', 'update', [diff('memory.dedicated', 2048, 4096), diff('tags', ['web'], ['web', 'prod']), diff('description', 'First web server', null)]);
const replaced = change(vmType, 'db', 'replace', [diff('clone.vmId', 9000, 9001, { replaces: true }), diff('disks[0].datastoreId', 'local-lvm', 'nas', { replaces: true }), diff('initialization.userAccount.password', mask, mask, { secret: true })]);
const deleted = change('proxmoxve:index/containerLegacy:ContainerLegacy', 'old-proxy', 'delete', []);
const drifted = change(vmType, 'web-1', 'update', [diff('memory.dedicated', 2048, 1024), diff('cpu.cores', 2, 8)]);
const digest = '5f0c9a41d7e2b86390aa7c51fd0e4427b1960c3f5e8d2a7716ff03b9e4c8d21a';
const planOf = (changes, more = {}) => ({
  digest, destructive: changes.some((one) => ['replace', 'delete'].includes(one.op)), drift: false, drifted: [], changes,
  summary: { create: 0, update: 0, replace: 0, delete: 0, same: 4, ...Object.fromEntries(['create', 'update', 'replace', 'delete'].map((op) => [op, changes.filter((one) => one.op === op).length])) }, ...more,
});
const step = (name, status, minutes, detail = '') => ({ name, status, started_at: ago(minutes), ended_at: status === 'running' ? null : ago(minutes - 0.2), detail });
const pending = { status: 'pending', policy: 'second_person', decided_by: null, decided_at: null, comment: '', self: false, can_decide: true, expires_at: ago(-71 * 60) };
const approved = { ...pending, status: 'approved', can_decide: false, decided_by: { id: id(92), name: 'Jonas Weiß' }, decided_at: ago(1.2), comment: 'Read it, fine.' };
const people = [{ id: id(90), name: 'Jonas Weiß' }, { id: id(91), name: 'Ada Berger' }];
const deployment = (n, stack_name, operation, status, minutes, more = {}) => ({
  id: id(100 + n), stack_id: id(50 + ((n - 1) % 5) + 1), stack_name, operation, refresh: false, status, requested_by: people[n % 2], created_at: ago(minutes), started_at: ago(minutes - 0.02),
  ended_at: ['succeeded', 'failed', 'rejected', 'cancelled'].includes(status) ? ago(minutes - 1.3) : null, plan: planOf([created, updated]), approval: null, outputs: {}, error: null, leftovers: [], steps: [], ...more,
});
const deployments = [
  deployment(1, 'web-cluster', 'up', 'applying', 1, { approval: approved, steps: [step('preview', 'succeeded', 3), step('approval', 'succeeded', 2), step('execute', 'running', 1)] }),
  deployment(2, 'media', 'up', 'awaiting_approval', 18, { plan: planOf([created, updated, replaced, deleted], { drift: true, drifted: [drifted] }), approval: pending, steps: [step('preview', 'succeeded', 18), step('approval', 'running', 17)] }),
  deployment(6, 'dns', 'destroy', 'awaiting_approval', 40, { requested_by: people[1], plan: planOf([deleted]), approval: { ...pending, self: true, can_decide: false }, steps: [step('preview', 'succeeded', 40), step('approval', 'running', 39)] }),
  deployment(3, 'dns', 'refresh', 'succeeded', 130, { plan: planOf([]), steps: [step('preview', 'succeeded', 130)] }),
  deployment(4, 'build-farm', 'up', 'failed', 310, {
    approval: approved, error: 'Storage local-lvm on node pve2 has 3.1 GiB left; the disk scsi0 of runner-2 needs 32 GiB. Free some space or choose another storage for disks[0].datastoreId.',
    leftovers: [{ urn: urn(vmType, 'runner-1'), type: vmType, name: 'runner-1', detail: 'VM 131 on pve2 is locked by a backup and could not be removed.' }],
    steps: [step('preview', 'succeeded', 310), step('approval', 'succeeded', 309), step('execute', 'failed', 308), step('compensate', 'succeeded', 307)],
  }),
  deployment(5, 'experiment', 'preview', 'succeeded', 400, { steps: [step('preview', 'succeeded', 400)] }),
  deployment(7, 'media', 'up', 'succeeded', 5000, { approval: approved, outputs: { vmid: 100, name: 'web', address: '192.168.1.40' }, steps: [step('preview', 'succeeded', 5000), step('approval', 'succeeded', 4999), step('execute', 'succeeded', 4998), step('verify', 'succeeded', 4997)] }),
];

const event = (seq, kind, status, name, op, message, minutes = 1) => ({ seq, time: ago(minutes), kind, status, urn: name ? urn(vmType, name) : '', type: name ? vmType : '', name, op, message });
const opening = [
  event(1, 'resource', 'started', 'web-3', 'create', '', 1),
  event(2, 'task', 'started', 'web-3', '', 'UPID:pve2:000A2C1F:013B5D7A:qmcreate:103', 0.9),
  event(3, 'diagnostic', 'warning', 'web-3', '', 'The agent is switched off; the address of the guest is not known.', 0.8),
  event(4, 'resource', 'done', 'web-3', 'create', '', 0.7),
  event(5, 'resource', 'started', 'web-1', 'update', '', 0.6),
];
const events = new Map([
  [id(101), [...opening]],
  [id(104), [...opening, event(6, 'resource', 'failed', 'runner-2', 'create', "unable to create VM 132 - no space left in 'local-lvm'"), event(7, 'summary', 'failed', '', '', '1 of 5 resources failed')]],
]);
const find = (list, wanted) => list.find((each) => each.id === wanted);
const told = (run) => broadcast('deployment.updated', run.id, { ...run, plan: null });

function say(run, more) {
  const log = events.get(run.id) ?? [];
  events.set(run.id, log);
  const one = { ...event(log.length + 1, 'resource', 'done', '', '', '', 0), ...more };
  log.push(one);
  broadcast('deployment.event', run.id, one);
}

function move(run, status, steps) {
  Object.assign(run, { status, steps });
  if (['succeeded', 'rejected', 'cancelled'].includes(status)) run.ended_at = ago(0);
  told(run);
}

function apply(run) {
  const done = [step('preview', 'succeeded', 1), step('approval', 'succeeded', 0.5)];
  move(run, 'applying', [...done, step('execute', 'running', 0)]);
  run.plan.changes.forEach((one, at) => setTimeout(() => say(run, { name: one.name, type: one.type, op: one.op, status: 'done' }), 600 * (at + 1)));
  setTimeout(() => move(run, 'verifying', [...done, step('execute', 'succeeded', 0.1), step('verify', 'running', 0)]), 3000);
  setTimeout(() => {
    run.outputs = { vmid: 103, name: 'web-3' };
    say(run, { kind: 'summary', status: 'succeeded', message: 'Everything is as the program says.' });
    move(run, 'succeeded', [...done, step('execute', 'succeeded', 0.2), step('verify', 'succeeded', 0.1)]);
  }, 4500);
}

function begin({ body }) {
  const owner = find(stacks, body.stack_id);
  const run = deployment(200 + deployments.length, owner.name, body.operation, 'previewing', 0, { stack_id: owner.id, refresh: body.refresh ?? false, plan: null, requested_by: people[1], steps: [step('preview', 'running', 0)] });
  deployments.unshift(run);
  owner.last_deployment_id = run.id;
  setTimeout(() => {
    run.plan = body.operation === 'destroy' ? planOf([deleted]) : planOf([created, updated], body.refresh ? { drift: true, drifted: [drifted] } : {});
    if (body.operation === 'preview') return move(run, 'succeeded', [step('preview', 'succeeded', 0.1)]);
    run.approval = { ...pending, self: true, policy: 'confirm_self' };
    move(run, 'awaiting_approval', [step('preview', 'succeeded', 0.1), step('approval', 'running', 0)]);
    broadcast('approval.requested', run.id, {});
  }, 1500);
  return [202, run];
}

let confirmed = false;
function decide({ params, body }) {
  const run = find(deployments, params[0]);
  if (params[1] === 'approve' && body.digest !== run.plan.digest) return problem(409, 'conflict', 'The plan changed since you looked at it. Read it again before you decide.');
  if (run.approval.self && !confirmed) {
    confirmed = true;
    return problem(403, 'step_up_required', 'Enter your password again to confirm what you asked for yourself.');
  }
  confirmed = false;
  const yes = params[1] === 'approve';
  run.approval = { ...run.approval, status: yes ? 'approved' : 'rejected', can_decide: false, decided_by: people[1], decided_at: ago(0), comment: body.comment ?? '' };
  if (yes) setTimeout(() => apply(run), 300);
  else move(run, 'rejected', [step('preview', 'succeeded', 1), step('approval', 'failed', 0.5)]);
  return [200, run];
}

function save({ params, body }) {
  const one = find(stacks, params[0]);
  if (body.version !== one.version) return problem(409, 'conflict', 'Somebody saved this stack meanwhile. Load it again.');
  Object.assign(one, body, { version: one.version + 1, updated_at: ago(0) });
  for (const value of Object.values(one.config)) if (value.secret) value.value = mask;
  return [200, one];
}

function validate({ body }) {
  const at = body.program.split('\n').findIndex((line) => line.includes('wrong'));
  return [200, { diagnostics: at < 0 ? [] : [{ severity: 'error', line: at + 1, column: 1, message: 'There is no property "wrong" of VmLegacy. Remove it or choose one that completion offers.' }] }];
}

/** Everything under stacks, templates, deployments and approvals. */
export const routes = [
  ['GET', /^\/v1\/stacks$/, ({ scenario }) => page(scenario.empty ? [] : stacks)],
  ['POST', /^\/v1\/stacks$/, ({ body }) => { stacks.unshift(stack(300 + stacks.length, body.name, 'empty', 0, { ...body, outputs: {}, last_deployment_id: null, version: 1 })); return [201, stacks[0]]; }],
  ['GET', /^\/v1\/stacks\/schema$/, () => [200, schema]],
  ['POST', /^\/v1\/stacks\/validate$/, validate],
  ['GET', /^\/v1\/stacks\/([^/]+)\/state$/, () => [200, { version: 3, deployment: { resources: [] } }]],
  ['GET', /^\/v1\/stacks\/([^/]+)$/, ({ params }) => find(stacks, params[0]) ? [200, find(stacks, params[0])] : problem(404, 'not_found', 'There is no such stack. Go back to the list.')],
  ['PUT', /^\/v1\/stacks\/([^/]+)$/, save],
  ['DELETE', /^\/v1\/stacks\/([^/]+)$/, ({ params }) => { stacks.splice(stacks.findIndex((each) => each.id === params[0]), 1); return [204]; }],
  ['GET', /^\/v1\/templates$/, () => page(templates)],
  ['GET', /^\/v1\/deployments$/, ({ scenario, query }) => page(scenario.empty ? [] : deployments.filter((each) => ['status', 'stack_id'].every((name) => !query.get(name) || each[name] === query.get(name))))],
  ['POST', /^\/v1\/deployments$/, begin],
  ['GET', /^\/v1\/deployments\/([^/]+)\/events$/, ({ params, query }) => page((events.get(params[0]) ?? []).filter((each) => each.seq > Number(query.get('after') ?? 0)))],
  ['GET', /^\/v1\/deployments\/([^/]+)$/, ({ params }) => find(deployments, params[0]) ? [200, find(deployments, params[0])] : problem(404, 'not_found', 'There is no such deployment. Go back to the list.')],
  ['POST', /^\/v1\/deployments\/([^/]+)\/(approve|reject)$/, decide],
  ['POST', /^\/v1\/deployments\/([^/]+)\/cancel$/, ({ params }) => { const run = find(deployments, params[0]); move(run, 'cancelled', run.steps.map((each) => ({ ...each, status: each.status === 'running' ? 'cancelled' : each.status }))); return [200, run]; }],
  ['GET', /^\/v1\/approvals$/, ({ scenario }) => page(scenario.empty ? [] : deployments.filter((each) => each.status === 'awaiting_approval'))],
];
