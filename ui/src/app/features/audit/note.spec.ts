import assert from 'node:assert/strict';
import { KeyObject, createHash, generateKeyPairSync, sign } from 'node:crypto';
import { test } from 'node:test';

import { checkSignature, parseCheckpoint, rawSignature } from './note';

const origin = 'nimbus/019ab2f0-7c1e-7d2a-9a64-000000000001/provider';
const text = `${origin}\n7\n${Buffer.alloc(32, 7).toString('base64')}\n`;

interface Pair {
  vkey: string;
  note: string;
}

function signed(kind: 'ed25519' | 'ec'): Pair {
  const pair: { publicKey: KeyObject; privateKey: KeyObject } =
    kind === 'ed25519' ? generateKeyPairSync('ed25519') : generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const { publicKey, privateKey } = pair;
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const ed = kind === 'ed25519';
  const typed = ed ? Buffer.concat([Buffer.of(1), spki.subarray(-32)]) : Buffer.concat([Buffer.of(2), spki]);
  const named = ed ? Buffer.concat([Buffer.from(`${origin}\n`), typed]) : spki;
  const id = createHash('sha256').update(named).digest().subarray(0, 4);
  const signature = sign(ed ? null : 'sha256', Buffer.from(text), privateKey);
  const line = Buffer.concat([id, signature]).toString('base64');
  return {
    vkey: `${origin}+${id.toString('hex')}+${typed.toString('base64')}`,
    note: `${text}\n— ${origin} ${line}\n`,
  };
}

test('a checkpoint names its origin, size and root', () => {
  const head = parseCheckpoint(signed('ed25519').note);
  assert.equal(head.origin, origin);
  assert.equal(head.size, 7);
  assert.deepEqual([...head.root], Array(32).fill(7));
  assert.equal(head.text, text);
});

test('what is no checkpoint is refused with the reason', () => {
  assert.throws(() => parseCheckpoint(text), /no signature/);
  assert.throws(() => parseCheckpoint(`a\nseven\nAAAA\n\n— a AAAA\n`), /origin and size/);
  assert.throws(() => parseCheckpoint(`a\n7\nAAAA\n\n— a AAAA\n`), /32 bytes/);
});

for (const kind of ['ed25519', 'ec'] as const) {
  test(`a signature with ${kind} is checked`, async () => {
    const { note, vkey } = signed(kind);
    const head = parseCheckpoint(note);
    assert.equal(await checkSignature(head, [vkey]), 'valid');
    assert.equal(await checkSignature({ ...head, text: text.replace('\n7\n', '\n8\n') }, [vkey]), 'invalid');
    assert.equal(await checkSignature(head, []), 'no-key');
    assert.equal(await checkSignature(head, [signed(kind).vkey]), 'no-key', 'a foreign key');
    assert.equal(await checkSignature(head, [signed(kind).vkey, vkey]), 'valid', 'one of two keys');
  });
}

test('a signature that is not DER is refused', () => {
  assert.throws(() => rawSignature(new Uint8Array(64)), /not in DER/);
});
