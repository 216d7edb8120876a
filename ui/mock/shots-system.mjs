// Pages about the life of the appliance for shots.mjs.
const button = (name) => (page) => page.getByRole('button', { name }).first().click();
const empty = { empty: true };
const failing = { failing: true };

/** Name, address, scenario and what is done before the picture. */
export const systemPages = [
  { name: 'doctor', path: '/doctor' },
  { name: 'doctor-well', path: '/doctor', scenario: empty },
  { name: 'doctor-only', path: '/doctor', act: (page) => page.getByLabel('Only what needs somebody').check() },
  { name: 'doctor-bundle', path: '/doctor', act: button('Support bundle') },
  { name: 'workflows', path: '/workflows' },
  { name: 'workflows-empty', path: '/workflows?status=failed', scenario: empty },
  { name: 'workflow', path: '/workflows', act: (page) => page.getByRole('row').nth(1).getByRole('link').click() },
  { name: 'schedules', path: '/workflows/schedules' },
  { name: 'schedules-empty', path: '/workflows/schedules', scenario: empty },
  { name: 'schedules-pause', path: '/workflows/schedules', act: button(/^Pause/) },
];
