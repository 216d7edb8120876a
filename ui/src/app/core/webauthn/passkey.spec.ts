import assert from 'node:assert/strict';
import { test } from 'node:test';

import { bytes, creationOptions, credentialJSON, requestOptions, text } from './passkey';

test('base64url goes both ways, with and without what needs padding', () => {
  for (const length of [0, 1, 2, 3, 31, 32, 33]) {
    const some = Uint8Array.from({ length }, (_, at) => (at * 83 + 250) % 256);
    assert.deepEqual(bytes(text(some.buffer)), some);
    assert.doesNotMatch(text(some.buffer), /[+/=]/);
  }
});

test('options keep what is not known here and turn ids and challenges into bytes', () => {
  const made = creationOptions({
    challenge: 'AQI', user: { id: 'Aw', name: 'ann' }, rp: { id: 'a' }, excludeCredentials: [{ id: 'BA', type: 'public-key' }],
  });
  assert.deepEqual(made.challenge, Uint8Array.of(1, 2));
  assert.deepEqual(made.user, { id: Uint8Array.of(3), name: 'ann' });
  assert.deepEqual(made.rp, { id: 'a' });
  assert.deepEqual(made.excludeCredentials, [{ id: Uint8Array.of(4), type: 'public-key' }]);
  assert.deepEqual(requestOptions({ challenge: 'AQI' }).allowCredentials, []);
});

test('an answer is told with its parts only', () => {
  const answer = {
    id: 'AQ', rawId: Uint8Array.of(1).buffer, type: 'public-key', authenticatorAttachment: null,
    getClientExtensionResults: () => ({}),
    response: { clientDataJSON: Uint8Array.of(2).buffer, signature: Uint8Array.of(3).buffer, userHandle: null },
  } as unknown as PublicKeyCredential;
  assert.deepEqual(JSON.parse(JSON.stringify(credentialJSON(answer))), {
    id: 'AQ', rawId: 'AQ', type: 'public-key', clientExtensionResults: {}, response: { clientDataJSON: 'Ag', signature: 'Aw' },
  });
});
