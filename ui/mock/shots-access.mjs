// Pages about signing in and about rights for shots.mjs.
const id = (n) => `019ab2f1-1a2b-7c3d-8e4f-${String(n).padStart(12, '0')}`;
const click = (name) => (page) => page.getByRole('button', { name }).first().click();
const out = { signed_out: true };

const address = (email) => async (page) => {
  await page.getByLabel('E-mail address').fill(email);
  await page.getByRole('button', { name: 'Continue' }).click();
};
const second = async (page) => {
  await address('ada@home.arpa')(page);
  await page.getByLabel('Password', { exact: true }).fill('correct horse');
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
};
const cell = (name) => async (page) => {
  await page.getByRole('button', { name: 'Open all' }).click();
  await page.getByRole('button', { name }).first().click();
};
const explain = async (page) => {
  await page.getByRole('textbox', { name: 'Permission' }).or(page.getByRole('combobox', { name: 'Permission' })).first().fill('deployment:stack:destroy');
  await page.getByLabel('Who', { exact: true }).selectOption({ label: 'Jonas Weiß · jonas@home.arpa' });
  await page.getByRole('button', { name: 'Ask', exact: true }).click();
};
const simulate = async (page) => {
  await page.getByLabel('Who', { exact: true }).selectOption({ label: 'Jonas Weiß · jonas@home.arpa' });
  await page.getByRole('button', { name: 'Without role Approver' }).click();
  await page.getByRole('button', { name: 'Simulate', exact: true }).click();
  await page.locator('.results .line').first().click();
};
const condition = async (page) => {
  await page.getByRole('button', { name: 'New grant' }).first().click();
  await page.locator('.cm-content').waitFor();
  await page.locator('.cm-content').click();
  await page.keyboard.type('actor.mfa && resource.');
  await page.waitForTimeout(700);
};

const withoutApp = async (page) => {
  const remove = page.getByRole('button', { name: 'Remove the authenticator app' });
  if (await remove.isVisible()) {
    await remove.click();
    await page.getByRole('button', { name: 'Remove', exact: true }).click();
  }
  await page.getByRole('button', { name: 'Add an authenticator app' }).click();
};

/** Name, address, scenario and what is done before the picture. */
export const accessPages = [
  { name: 'sign-in', path: '/sign-in', scenario: out },
  { name: 'sign-in-password', path: '/sign-in', scenario: out, act: address('ada@home.arpa') },
  { name: 'sign-in-both', path: '/sign-in', scenario: out, act: address('mira@home.arpa') },
  { name: 'identity-providers-only', path: '/sign-in', scenario: out, act: address('ngozi.eze@okafor.example') },
  { name: 'sign-in-second', path: '/sign-in', scenario: { ...out, second_factor: true }, act: second },
  { name: 'sign-in-error', path: '/sign-in?error=not_allowed', scenario: out },
  { name: 'sign-in-resumed', path: '/sign-in#second_factor=nbs_1', scenario: out },
  { name: 'gate-enrol', path: '/', scenario: { enrol: true } },
  { name: 'invitation', path: '/accept-invitation#nbi_fresh', scenario: out },
  { name: 'invitation-known', path: '/accept-invitation#nbi_known', scenario: out },
  { name: 'invitation-gone', path: '/accept-invitation#nbi_gone', scenario: out },
  { name: 'invitation-none', path: '/accept-invitation', scenario: out },
  { name: 'reset', path: '/reset-password#nbp_1', scenario: out },
  { name: 'profile', path: '/profile' },
  { name: 'profile-password', path: '/profile', act: click('Change password') },
  { name: 'profile-codes', path: '/profile', act: async (page) => { await click('Make new codes')(page); await page.getByRole('alertdialog').getByRole('button', { name: 'Make new codes' }).click(); } },
  { name: 'profile-passkey', path: '/profile', act: click('Add a passkey') },
  { name: 'profile-totp', path: '/profile', scenario: { enrol: false }, act: withoutApp },
  { name: 'step-up', path: '/profile', scenario: { step_up: true }, act: async (page) => { await click('Make new codes')(page); await page.getByRole('alertdialog').getByRole('button', { name: 'Make new codes' }).click(); } },
  { name: 'step-up-elsewhere', path: '/profile', scenario: { step_up: true, elsewhere: true }, act: async (page) => { await click('Make new codes')(page); await page.getByRole('alertdialog').getByRole('button', { name: 'Make new codes' }).click(); } },
  { name: 'roles', path: '/roles' },
  { name: 'role', path: `/roles/${id(23)}` },
  { name: 'role-empty', path: `/roles/${id(22)}`, scenario: { empty: true } },
  { name: 'role-assign', path: `/roles/${id(23)}`, act: click('Give it to somebody') },
  { name: 'role-refused', path: `/roles/${id(23)}`, scenario: { refused: true }, act: async (page) => { await click(/Take the role from Jonas/)(page); await page.getByRole('button', { name: 'Take the role', exact: true }).click(); await page.getByRole('button', { name: 'Why?' }).click(); } },
  { name: 'role-new', path: '/roles/new' },
  { name: 'role-edit', path: `/roles/${id(23)}/edit` },
  { name: 'role-edit-menu', path: `/roles/${id(23)}/edit`, act: cell(/^identity:user:read/) },
  { name: 'role-edit-effect', path: `/roles/${id(23)}/edit`, act: async (page) => { await cell(/^identity:\*:read/)(page); await page.getByRole('menuitemradio', { name: 'Deny always' }).click(); await page.getByLabel('Who', { exact: true }).selectOption({ index: 2 }); await page.waitForTimeout(1200); } },
  { name: 'grants', path: '/roles/grants' },
  { name: 'grants-empty', path: '/roles/grants', scenario: { empty: true } },
  { name: 'grant-new', path: '/roles/grants', act: condition },
  { name: 'explain', path: '/roles/explain' },
  { name: 'explain-answered', path: '/roles/explain', act: explain },
  { name: 'simulate', path: '/roles/simulate' },
  { name: 'simulate-answered', path: '/roles/simulate', act: simulate },
  { name: 'providers', path: '/identity-providers' },
  { name: 'providers-empty', path: '/identity-providers', scenario: { empty: true } },
  { name: 'provider-new', path: '/identity-providers/new' },
  { name: 'provider-new-saml', path: '/identity-providers/new', act: (page) => page.getByText('SAML 2.0').click() },
  { name: 'provider-oidc', path: `/identity-providers/${id(700)}` },
  { name: 'provider-saml', path: `/identity-providers/${id(701)}` },
  { name: 'provider-test', path: `/identity-providers/${id(700)}/test?test=${id(730)}` },
  { name: 'provider-test-failed', path: `/identity-providers/${id(700)}/test?test=${id(730)}`, scenario: { failing: true } },
  { name: 'scim', path: '/identity-providers/scim' },
  { name: 'scim-empty', path: '/identity-providers/scim', scenario: { empty: true } },
  { name: 'scim-new', path: '/identity-providers/scim', act: async (page) => { await click('New token')(page); await page.getByLabel('Name').fill('Entra ID'); await page.getByRole('button', { name: 'Create token' }).click(); } },
];
