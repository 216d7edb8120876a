// Made-up clusters, guests, stacks and deployments.
const ago = (minutes) => new Date(Date.now() - minutes * 60_000).toISOString();
const id = (n) => `019ab2f1-1a2b-7c3d-8e4f-${String(n).padStart(12, '0')}`;
const page = (items) => [200, { items, next: null }];
const fingerprint = 'B4:1C:7E:90:AA:31:5D:0F:6C:E2:18:77:3B:9D:44:C8:02:FA:61:E7:5B:13:8E:90:27:DC:46:A3:F1:0B:95:6E';

const connections = [
  { id: id(1), name: 'home', url: 'https://pve.home.arpa:8006', token_id: 'nimbus@pve!nimbus', fingerprint, simulated: false, status: 'ok', status_detail: '', collected_at: ago(1), version: '8.4.1' },
  { id: id(2), name: 'garage', url: 'https://10.0.9.2:8006', token_id: 'nimbus@pve!nimbus', fingerprint, simulated: false, status: 'unreachable', status_detail: 'No answer from 10.0.9.2:8006 since 12 minutes; trying again every minute.', collected_at: ago(12), version: '8.3.5' },
];
const deployment = (n, stack_name, operation, status, minutes, more = {}) => ({
  id: id(100 + n), stack_id: id(50 + n), stack_name, operation, status, requested_by: { id: id(90), name: n % 2 ? 'Ada Berger' : 'Jonas Weiß' },
  created_at: ago(minutes), started_at: ago(minutes), ended_at: ['succeeded', 'failed', 'rejected'].includes(status) ? ago(minutes - 1.3) : null,
  plan: { digest: '5f0c9a', summary: { create: 3, update: 1, replace: 0, delete: 0, same: 4 }, destructive: false, drift: false, changes: [] },
  approval: null, outputs: {}, error: null, leftovers: [], steps: [], ...more,
});
const deployments = [
  deployment(1, 'web-cluster', 'up', 'applying', 1),
  deployment(2, 'media', 'up', 'awaiting_approval', 18, { approval: { status: 'pending', policy: 'second_person', decided_by: null, decided_at: null, comment: '', self: false, can_decide: true } }),
  deployment(3, 'dns', 'refresh', 'succeeded', 130),
  deployment(4, 'build-farm', 'up', 'failed', 310, { error: 'Storage local-zfs on node pve2 has 3.1 GiB left; 32 GiB are needed.' }),
  deployment(5, 'web-cluster', 'preview', 'succeeded', 400),
];

/** Everything under connections, inventory, stacks, deployments and approvals. */
export const routes = [
  ['GET', /^\/v1\/connections$/, ({ scenario }) => page(scenario.empty ? [] : connections)],
  ['GET', /^\/v1\/deployments$/, ({ scenario }) => page(scenario.empty ? [] : deployments)],
  ['GET', /^\/v1\/approvals$/, ({ scenario }) => page(scenario.empty ? [] : [deployments[1]])],
];
