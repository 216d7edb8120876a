// The pages of the audit trail.
const click = (name) => (page) => page.getByRole('button', { name, exact: true }).first().click();
const wait = (milliseconds) => (page) => page.waitForTimeout(milliseconds);

async function verified(page) {
  await click('Verify now')(page);
  await wait(4500)(page);
}

const person = '019ab2f0-7c1e-7d2a-9a64-000000000011';
const stack = '019ab2f0-7c1e-7d2a-9a64-000000000703';

/** What shots.mjs opens of the audit trail. */
export const auditPages = [
  { name: 'audit', path: '/audit' },
  { name: 'audit-none', path: '/audit?outcome=denied', scenario: { empty: true } },
  { name: 'audit-filtered', path: '/audit?outcome=denied&event=permission&last=7d', act: click('Dense') },
  { name: 'audit-timeline', path: '/audit/timeline?last=7d' },
  { name: 'audit-live', path: '/audit/live', act: wait(6500) },
  { name: 'audit-live-refused', path: '/audit/live', scenario: { refused: true } },
  { name: 'audit-query-rename', path: '/audit?outcome=denied', act: (page) => page.getByRole('button', { name: /^Rename the query/ }).first().click() },
  { name: 'audit-exports', path: '/audit/exports' },
  { name: 'audit-exports-empty', path: '/audit/exports', scenario: { empty: true } },
  { name: 'audit-activity', path: `/audit/activity/${person}` },
  { name: 'audit-history', path: `/audit/history/stack/${stack}` },
  { name: 'audit-record', path: '/audit/4308' },
  { name: 'audit-record-claimed', path: '/audit/4305' },
  { name: 'audit-on-behalf', path: '/audit?on_behalf_of=olga' },
  { name: 'audit-proved', path: '/audit/3900', act: wait(300) },
  { name: 'audit-pruned', path: '/audit/200' },
  { name: 'audit-verify', path: '/audit/verify' },
  { name: 'audit-verifying', path: '/audit/verify', act: click('Verify now') },
  { name: 'audit-verified', path: '/audit/verify', act: verified },
  { name: 'audit-broken', path: '/audit/verify', scenario: { breakglass: true }, act: verified },
];
