// Pages of tenants, people, groups and accounts for shots.mjs.
const tenant = (n) => `019ab2f0-7c1e-7d2a-9a64-${String(n).padStart(12, '0')}`;
const id = (n) => `019ab2f1-1a2b-7c3d-8e4f-${String(n).padStart(12, '0')}`;
const button = (page, name) => page.getByRole('button', { name }).first();
const click = (name) => (page) => button(page, name).click();
const menu = (of, item) => async (page) => {
  await button(page, `More for ${of}`).click();
  if (item) await page.getByRole('menuitem', { name: item }).click();
};
const more = (item) => async (page) => {
  await button(page, 'More actions').click();
  await page.getByRole('menuitem', { name: item }).click();
};
const next = (page) => page.getByRole('button', { name: 'Continue' }).click();

// onboard fills in the wizard as far as a step.
const onboard = (until) => async (page) => {
  const fill = (label, text) => page.getByLabel(label, { exact: true }).fill(text);
  await fill('Name', `Fjord Energi ${Math.random().toString(36).slice(2, 7)}`);
  await fill('Name of the administrator', 'Astrid Holm');
  await fill('E-mail address', 'astrid@fjord.example');
  await next(page);
  if (until === 'domains') return;
  await page.getByRole('textbox', { name: 'Domain' }).fill('fjord.example');
  await button(page, 'Add').click();
  await next(page);
  if (until === 'saml') return page.getByText('SAML 2.0').click();
  await page.getByText('OpenID Connect').first().click();
  if (until === 'sign_in') return;
  if (until === 'sign_in_wrong') return next(page);
  await fill('Name on the sign-in button', 'Fjord account');
  await fill('Issuer', 'https://login.microsoftonline.com/7a1f0f3e-0d3c-4c61-9d2f-2b6f0c1f8a11/v2.0');
  await fill('Client ID', '2c1f0d9e-8a34-4f7b-9a3a-3f0f6f6f1c2d');
  await next(page);
  await page.getByLabel('Make a SCIM token').check();
  await fill('Name of the token', 'Entra ID');
  if (until === 'scim') return;
  await next(page);
  if (until === 'review') return;
  await button(page, 'Create tenant').click();
};

/** Name, address, scenario and what is done before the picture. */
export const peoplePages = [
  { name: 'tenants', path: '/tenants?deleted=yes' },
  { name: 'tenants-found', path: '/tenants?q=showroom' },
  { name: 'tenants-empty', path: '/tenants', scenario: { empty: true } },
  { name: 'tenants-failing', path: '/tenants', scenario: { failing: true } },
  { name: 'tenant-edit', path: '/tenants', act: menu('Workshop', 'Rename') },
  { name: 'tenant-move', path: '/tenants', act: menu('Workshop', 'Move') },
  { name: 'tenant-suspend', path: '/tenants', act: menu('Workshop', 'Suspend') },
  { name: 'tenant-purge', path: '/tenants?deleted=yes', act: menu('Trial 2025', 'Purge') },
  { name: 'tenant-overview', path: `/tenants/${tenant(2)}` },
  { name: 'tenant-suspended', path: `/tenants/${tenant(6)}` },
  { name: 'tenant-deleted', path: `/tenants/${tenant(7)}` },
  { name: 'tenant-missing', path: `/tenants/${tenant(99)}` },
  { name: 'tenant-settings', path: `/tenants/${tenant(2)}/settings` },
  { name: 'tenant-quotas', path: `/tenants/${tenant(2)}/quotas` },
  { name: 'tenant-quotas-edit', path: `/tenants/${tenant(3)}/quotas`, act: click('Change limits') },
  { name: 'tenant-quotas-free', path: `/tenants/${tenant(2)}/quotas`, scenario: { empty: true } },
  { name: 'tenant-domains', path: `/tenants/${tenant(2)}/domains` },
  { name: 'tenant-domains-empty', path: `/tenants/${tenant(3)}/domains`, act: click('Add') },
  { name: 'tenant-compartments', path: `/tenants/${tenant(2)}/compartments` },
  { name: 'tenant-compartments-empty', path: `/tenants/${tenant(2)}/compartments`, scenario: { empty: true } },
  { name: 'tenant-compartments-outside', path: `/tenants/${tenant(3)}/compartments` },
  { name: 'compartment-new', path: `/tenants/${tenant(2)}/compartments`, act: menu('Edge', 'New one') },
  { name: 'compartment-move', path: `/tenants/${tenant(2)}/compartments`, act: menu('Edge', 'Move') },
  { name: 'onboard-basics', path: '/tenants/new' },
  { name: 'onboard-basics-wrong', path: '/tenants/new', act: next },
  ...['domains', 'sign_in', 'sign_in_wrong', 'saml', 'scim', 'review', 'result'].map((step) => ({
    name: `onboard-${step}`,
    path: '/tenants/new',
    act: onboard(step),
  })),
  { name: 'users', path: '/users' },
  { name: 'users-found', path: '/users?q=okafor' },
  { name: 'users-none', path: '/users?q=nobody-like-this' },
  { name: 'users-empty', path: '/users', scenario: { empty: true } },
  { name: 'users-failing', path: '/users', scenario: { failing: true } },
  { name: 'user-new', path: '/users', act: click('New user') },
  { name: 'user-sessions', path: '/users', act: menu('Jonas Weiß', 'Sessions') },
  {
    name: 'user-reset',
    path: '/users',
    act: async (page) => {
      await menu('Mira Okafor', 'Password reset link')(page);
      await button(page, 'Make link').click();
    },
  },
  { name: 'user-invite', path: '/users', act: click('Invite') },
  { name: 'invitations', path: '/users/invitations' },
  { name: 'invitations-empty', path: '/users/invitations', scenario: { empty: true } },
  {
    name: 'invitation-link',
    path: '/users/invitations',
    act: async (page) => {
      await click('Invite')(page);
      await page.getByLabel('Name').fill('Nils Frahm');
      await page.getByLabel('E-mail address').fill('nils@okafor.example');
      await page.getByRole('dialog').getByRole('button', { name: 'Invite' }).click();
    },
  },
  { name: 'groups', path: '/users/groups' },
  { name: 'groups-empty', path: '/users/groups', scenario: { empty: true } },
  { name: 'group', path: `/users/groups/${id(802)}`, act: click('Members of Night shift') },
  { name: 'group-scim', path: `/users/groups/${id(804)}` },
  { name: 'group-nobody', path: `/users/groups/${id(805)}` },
  { name: 'group-roles', path: `/users/groups/${id(802)}`, act: click('Roles') },
  { name: 'group-add', path: `/users/groups/${id(802)}`, act: click('Add members') },
  {
    name: 'group-cycle',
    path: `/users/groups/${id(803)}`,
    act: async (page) => {
      await click('Add members')(page);
      await page.getByRole('radio', { name: 'Groups' }).check();
      await page.getByRole('button', { name: 'Add Operators' }).click();
    },
  },
  { name: 'service-accounts', path: '/users/service-accounts' },
  { name: 'service-accounts-empty', path: '/users/service-accounts', scenario: { empty: true } },
  { name: 'service-account', path: `/users/service-accounts/${id(820)}` },
  { name: 'service-account-disabled', path: `/users/service-accounts/${id(822)}`, act: more('Rename') },
  {
    name: 'service-token',
    path: `/users/service-accounts/${id(820)}`,
    act: async (page) => {
      await click('New token')(page);
      await page.getByLabel('Name').fill('Deploys');
      await page.getByText('Chosen permissions').click();
      await page.getByLabel('Permission', { exact: true }).fill('deployment:stack:read');
      await button(page, 'Add').click();
      await page.getByLabel('Permission', { exact: true }).fill('everything');
      await button(page, 'Add').click();
    },
  },
];
