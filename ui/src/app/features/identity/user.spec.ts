import { deepEqual, ok } from 'node:assert/strict';
import { test } from 'node:test';

import { User, userVerbs } from './user';

const user = (part: Partial<User> = {}): User => ({
  id: 'u',
  name: 'Ada',
  email: 'ada@home.arpa',
  status: 'active',
  source: 'local',
  roles: [],
  last_sign_in_at: null,
  created_at: '',
  ...part,
});

test('nobody shuts themselves out', () => {
  deepEqual(userVerbs(user({ mfa: true }), 'u'), ['roles', 'sessions']);
});

test('nobody else changes the emergency account', () => {
  deepEqual(userVerbs(user({ emergency: true, mfa: true }), 'other'), ['sessions']);
  deepEqual(userVerbs(user({ emergency: true, mfa: true }), 'u'), ['roles', 'sessions']);
});

test('who has no password here has none to reset', () => {
  for (const source of ['oidc', 'saml', 'scim'] as const) {
    ok(!userVerbs(user({ source }), 'other').includes('reset'), source);
  }
  ok(!userVerbs(user({ status: 'disabled' }), 'other').includes('reset'));
});

test('a second factor is reset only where there is one', () => {
  ok(userVerbs(user({ mfa: true }), 'other').includes('mfa'));
  ok(!userVerbs(user(), 'other').includes('mfa'));
});
