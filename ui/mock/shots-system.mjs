// Pages about the life of the appliance for shots.mjs.
const button = (name) => (page) => page.getByRole('button', { name }).first().click();
const empty = { empty: true };
const failing = { failing: true };

const setup = { setup: true, setup_signed_in: true, setup_until: 'appliance' };
const restore = async (page) => {
  await page.getByText('Restore from a backup').click();
  await button('Continue')(page);
};
const found = (kit) => async (page) => {
  await restore(page);
  await page.getByLabel('Path on this machine').fill('/mnt/nas/nimbus');
  await page.getByLabel('Text of the kit').fill(kit);
  await button('Look for backups')(page);
  await page.waitForTimeout(500);
};
const own = async (page) => {
  await found('AGE-SECRET-KEY-1')(page);
  await page.getByText('at a moment between').click();
};
const restored = (wait) => async (page) => {
  await found('AGE-SECRET-KEY-1')(page);
  await button('Restore it')(page);
  await page.waitForTimeout(wait);
};

/** Name, address, scenario and what is done before the picture. */
export const systemPages = [
  { name: 'setup-begin', path: '/setup', scenario: setup },
  { name: 'setup-restore', path: '/setup', scenario: setup, act: restore },
  { name: 'setup-restore-missing', path: '/setup', scenario: setup, act: async (page) => { await restore(page); await button('Look for backups')(page); } },
  { name: 'setup-restore-wrong', path: '/setup', scenario: setup, act: found('other') },
  { name: 'setup-restore-found', path: '/setup', scenario: setup, act: own },
  { name: 'setup-restore-failed', path: '/setup', scenario: { ...setup, failing: true } },
  { name: 'setup-restore-done', path: '/setup', scenario: setup, act: restored(15_000) },
  { name: 'doctor', path: '/doctor' },
  { name: 'doctor-well', path: '/doctor', scenario: empty },
  { name: 'doctor-only', path: '/doctor', act: (page) => page.getByLabel('Only what needs somebody').check() },
  { name: 'doctor-bundle', path: '/doctor', act: button('Support bundle') },
  { name: 'certificate', path: '/certificate' },
  { name: 'certificate-failing', path: '/certificate', scenario: failing },
  { name: 'certificate-own', path: '/certificate', act: async (page) => { await page.getByText('Your own', { exact: true }).click(); await button('Use this certificate')(page); } },
  { name: 'certificate-address', path: '/certificate', act: async (page) => { await page.getByLabel('Address', { exact: true }).fill('https://cloud.home.arpa'); await page.waitForTimeout(900); } },
  { name: 'workflows', path: '/workflows' },
  { name: 'workflows-empty', path: '/workflows?status=failed', scenario: empty },
  { name: 'workflow', path: '/workflows', act: (page) => page.getByRole('row').nth(1).getByRole('link').click() },
  { name: 'schedules', path: '/workflows/schedules' },
  { name: 'schedules-empty', path: '/workflows/schedules', scenario: empty },
  { name: 'schedules-pause', path: '/workflows/schedules', act: button(/^Pause/) },
  { name: 'backups', path: '/backups' },
  { name: 'backups-empty', path: '/backups', scenario: empty },
  { name: 'backups-failing', path: '/backups', scenario: failing },
  { name: 'backups-details', path: '/backups', act: button(/^Details/) },
  { name: 'backups-delete', path: '/backups', act: button(/^Delete the backup/) },
  { name: 'backups-settings', path: '/backups/settings' },
  { name: 'backups-settings-empty', path: '/backups/settings', scenario: empty },
  { name: 'backups-settings-failing', path: '/backups/settings', scenario: failing, act: button('Test the place') },
  { name: 'backups-settings-sftp', path: '/backups/settings', act: async (page) => { await page.getByText('An SFTP server').click(); await button('Save settings')(page); } },
  { name: 'backups-running', path: '/backups', act: async (page) => { await button('Back up now')(page); await page.waitForTimeout(4000); } },
];
