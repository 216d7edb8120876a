// Pages of infrastructure for shots.mjs.
const id = (n) => `019ab2f1-1a2b-7c3d-8e4f-${String(n).padStart(12, '0')}`;
const click = (name) => (page) => page.getByRole('button', { name }).first().click();

/** Name, address, scenario and what is done before the picture. */
export const infrastructurePages = [
  { name: 'connections', path: '/connections' },
  { name: 'connections-empty', path: '/connections', scenario: { empty: true } },
  { name: 'connection-new', path: '/connections', act: click('Connect a cluster') },
  { name: 'connection-certificate', path: '/connections', act: click('Compare certificates') },
  { name: 'inventory', path: '/inventory' },
  { name: 'inventory-empty', path: '/inventory', scenario: { empty: true } },
  { name: 'inventory-failing', path: '/inventory', scenario: { failing: true } },
  ...['node', 'storage', 'network', 'pool'].map((kind) => ({ name: `inventory-${kind}`, path: `/inventory?kind=${kind}` })),
  { name: 'guest', path: `/inventory/${id(10_000)}?task=${id(40_002)}` },
  { name: 'guest-stop', path: `/inventory/${id(10_000)}`, act: click('Stop') },
  { name: 'stacks', path: '/stacks' },
  { name: 'stacks-empty', path: '/stacks', scenario: { empty: true } },
  { name: 'stack-new', path: '/stacks/new' },
  { name: 'stack-template', path: '/stacks/new?template=vm-cloud-image' },
  { name: 'stack', path: `/stacks/${id(52)}` },
  { name: 'deployments', path: '/deployments' },
  { name: 'deployments-empty', path: '/deployments', scenario: { empty: true } },
  { name: 'run-approval', path: `/deployments/${id(102)}` },
  { name: 'run-own', path: `/deployments/${id(106)}` },
  { name: 'run-live', path: `/deployments/${id(101)}` },
  { name: 'run-failed', path: `/deployments/${id(104)}` },
  { name: 'approvals', path: '/approvals' },
  { name: 'approvals-empty', path: '/approvals', scenario: { empty: true } },
];
