import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ProviderChoice, chosen, fragmentToken, secondMethods, secondStep, signInError, startAddress, withoutDiscovery } from './sign-in-steps';

const provider = (start_url: string): ProviderChoice => ({ id: '1', name: 'Acme', kind: 'oidc', start_url });

test('what was discovered is offered, passkeys only where the browser has them', () => {
  const found = { methods: ['password', 'passkey'], providers: [provider('/v1/start')] };
  assert.deepEqual(chosen('a@b', found, true), { name: 'choose', email: 'a@b', password: true, passkey: true, providers: found.providers });
});

const cases: [name: string, methods: string[], starts: string[], passkeys: boolean, want: [password: boolean, passkey: boolean, providers: number]][] = [
  ['a tenant without local sign-in', ['passkey'], ['/v1/a'], true, [false, true, 1]],
  ['no passkeys in this browser', ['password', 'passkey'], [], false, [true, false, 0]],
  ['nothing at all still offers a password', [], [], true, [true, false, 0]],
  ['methods of later versions are ignored', ['smoke'], ['/v1/a', '/v1/b'], true, [false, false, 2]],
  ['TestRobustness33OpenRedirect: a provider never begins elsewhere', ['password'], ['https://evil', '//evil'], true, [true, false, 0]],
];
for (const [name, methods, starts, passkeys, want] of cases) {
  test(name, () => {
    const step = chosen('a@b', { methods, providers: starts.map(provider) }, passkeys);
    assert.deepEqual(step.name === 'choose' && [step.password, step.passkey, step.providers.length], want);
  });
}

test('without an answer a password and a passkey can be tried', () => {
  const step = chosen('a@b', withoutDiscovery, true);
  assert.deepEqual(step.name === 'choose' && [step.password, step.passkey], [true, true]);
});

test('the second step begins with the quickest way that works here', () => {
  const second = { token: 't', methods: ['recovery_code', 'totp', 'passkey'] as const, options: {} };
  const all = { ...second, methods: [...second.methods] };
  assert.deepEqual(secondMethods(all, true), ['passkey', 'totp', 'recovery_code']);
  assert.deepEqual(secondMethods(all, false), ['totp', 'recovery_code']);
  assert.deepEqual(secondMethods({ ...all, options: null }, true), ['totp', 'recovery_code']);
  const step = secondStep(all, false);
  assert.equal(step.name === 'second' && step.method, 'totp');
});

test('a provider is told where to come back to', () => {
  assert.equal(startAddress(provider('/v1/s'), '/audit?outcome=denied'), '/v1/s?return_to=%2Faudit%3Foutcome%3Ddenied');
  assert.equal(startAddress(provider('/v1/s?a=b'), '/'), '/v1/s?a=b&return_to=%2F');
});

test('secrets are read from behind the #, alone or by name', () => {
  assert.equal(fragmentToken('nbi_abc'), 'nbi_abc');
  assert.equal(fragmentToken(null), '');
  assert.equal(fragmentToken('second_factor=nb%2Bc', 'second_factor'), 'nb+c');
  assert.equal(fragmentToken('nbi_abc', 'second_factor'), '');
});

test('every failure is a sentence, none is nothing', () => {
  assert.equal(signInError(undefined), '');
  const said = ['expired', 'not_allowed', 'refused', 'unavailable', 'not_found', 'invalid', 'surprise'].map(signInError);
  assert.equal(new Set(said).size, said.length);
  assert.ok(said.every((one) => one.endsWith('.')));
});
