// Pages about the life, the proof and the watch of the audit trail for shots.mjs.
const id = (n) => `019ab2f1-1a2b-7c3d-8e4f-${String(n).padStart(12, '0')}`;
const button = (name) => (page) => page.getByRole('button', { name }).first().click();
const empty = { empty: true };
const failing = { failing: true };

const newHold = async (page) => {
  await button('New hold')(page);
  await page.getByRole('button', { name: 'Hold these records' }).click();
};
const place = (kind) => async (page) => {
  await button('Add a place')(page);
  await page.getByLabel('What kind of place').selectOption(kind);
};

const faultyRule = async (page) => {
  await button('Add a rule')(page);
  await page.getByRole('button', { name: /^Save/ }).click();
};

/** Name, address, scenario and what is done before the picture. */
export const watchPages = [
  { name: 'retention', path: '/audit-settings/retention' },
  { name: 'retention-empty', path: '/audit-settings/retention', scenario: empty },
  { name: 'retention-faulty', path: '/audit-settings/retention', act: faultyRule },
  { name: 'holds', path: '/audit-settings/holds' },
  { name: 'holds-empty', path: '/audit-settings/holds', scenario: empty },
  { name: 'holds-new', path: '/audit-settings/holds', act: newHold },
  { name: 'holds-release', path: '/audit-settings/holds', act: button(/^Release/) },
  { name: 'redaction', path: '/audit-settings/redaction', act: (page) => page.waitForTimeout(700) },
  { name: 'redaction-empty', path: '/audit-settings/redaction', scenario: empty, act: (page) => page.waitForTimeout(700) },
  { name: 'archive', path: '/audit-settings/archive' },
  { name: 'archive-empty', path: '/audit-settings/archive', scenario: empty },
  { name: 'archive-failing', path: '/audit-settings/archive', scenario: failing, act: button('Test the place') },
  { name: 'archive-segment', path: `/audit-settings/archive/${id(1023)}?event=identity` },
  { name: 'proof', path: '/audit-settings/proof' },
  { name: 'proof-file', path: '/audit-settings/proof', scenario: { breakglass: true } },
  { name: 'proof-failing', path: '/audit-settings/proof', scenario: failing },
  { name: 'proof-empty', path: '/audit-settings/proof', scenario: empty },
  { name: 'proof-checkpoint', path: '/audit-settings/proof', act: (page) => page.getByRole('button', { name: /^Show/ }).nth(2).click() },
  { name: 'proof-place-object', path: '/audit-settings/proof', act: place('object') },
  { name: 'proof-place-syslog', path: '/audit-settings/proof', act: place('syslog') },
  { name: 'siem', path: '/audit-settings/siem' },
  { name: 'siem-empty', path: '/audit-settings/siem', scenario: empty },
  { name: 'siem-new', path: '/audit-settings/siem/new' },
  { name: 'siem-new-syslog', path: '/audit-settings/siem/new', act: async (page) => { await page.getByText('Syslog', { exact: true }).click(); await button('Create sink')(page); } },
  { name: 'siem-sink', path: `/audit-settings/siem/${id(1301)}` },
  { name: 'siem-sink-retrying', path: `/audit-settings/siem/${id(1302)}`, act: button('Send a test event') },
  { name: 'anomalies', path: '/anomalies' },
  { name: 'anomalies-all', path: '/anomalies?state=all' },
  { name: 'anomalies-empty', path: '/anomalies', scenario: empty },
  { name: 'anomaly', path: `/anomalies/${id(1320)}` },
  { name: 'anomaly-many', path: `/anomalies/${id(1323)}` },
  { name: 'anomaly-provider', path: `/anomalies/${id(1321)}` },
  { name: 'anomaly-decide', path: `/anomalies/${id(1320)}`, act: button('False positive') },
  { name: 'anomaly-rules', path: '/anomalies/rules' },
  { name: 'compliance', path: '/compliance' },
  { name: 'compliance-empty', path: '/compliance', scenario: empty },
  { name: 'mail', path: '/mail' },
  { name: 'mail-empty', path: '/mail', scenario: empty },
  { name: 'mail-failing', path: '/mail', scenario: failing, act: button('Send test message') },
];
