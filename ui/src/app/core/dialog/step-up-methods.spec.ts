import assert from 'node:assert/strict';
import { test } from 'node:test';

import { elsewhereAddress, proofsOf } from './step-up-methods';

test('the quick ways stand first, both kinds of providers are one, unknown ones are left out', () => {
  assert.deepEqual(proofsOf(['saml', 'password', 'oidc', 'totp', 'passkey', 'smoke']), ['passkey', 'password', 'totp', 'elsewhere']);
  assert.deepEqual(proofsOf([]), []);
  assert.deepEqual(proofsOf(undefined), []);
});

test('a provider comes back to the page, whatever its address has already', () => {
  assert.equal(elsewhereAddress('/v1/start', '/a?b=c'), '/v1/start?return_to=%2Fa%3Fb%3Dc');
  assert.equal(elsewhereAddress('/v1/start?reauthenticate=true', '/a'), '/v1/start?reauthenticate=true&return_to=%2Fa');
});
