import assert from 'node:assert/strict';
import { test } from 'node:test';

import { auditSettingsFor, auditSettingsRights } from './rights';

test('a page is for whoever has one of its rights, in the order of the pages', () => {
  assert.deepEqual(auditSettingsFor((one) => one === 'audit:sink:read' || one === 'audit:archive:update'), [
    '/audit-settings/archive',
    '/audit-settings/siem',
  ]);
  assert.deepEqual(auditSettingsFor(() => false), []);
});

test('whoever has a right of the list sees at least one page', () => {
  for (const right of auditSettingsRights) assert.ok(auditSettingsFor((one) => one === right).length > 0, right);
});
