import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync, sign } from 'node:crypto';
import { test } from 'node:test';

import { leafHash, linkHash, nodeHash, toHex } from './merkle';
import { CheckedProof, checkProof } from './proof';
import { AuditRecord, CheckpointKey, InclusionProof } from './record';

const origin = 'nimbus/a/provider';
const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
const { publicKey, privateKey } = generateKeyPairSync('ed25519');

function signed(size: number, root: Uint8Array): string {
  const text = `${origin}\n${size}\n${Buffer.from(root).toString('base64')}\n`;
  const line = Buffer.concat([keyID(), sign(null, Buffer.from(text), privateKey)]).toString('base64');
  return `${text}\n— ${origin} ${line}\n`;
}

function typed(): Buffer {
  return Buffer.concat([Buffer.of(1), publicKey.export({ type: 'spki', format: 'der' }).subarray(-32)]);
}

function keyID(): Buffer {
  return createHash('sha256').update(`${origin}\n`).update(typed()).digest().subarray(0, 4);
}

const key: CheckpointKey = {
  name: origin,
  vkey: `${origin}+${keyID().toString('hex')}+${typed().toString('base64')}`,
  algorithm: 'ed25519',
  kind: 'file',
  created_at: '',
  retired_at: null,
};

async function proved(): Promise<{ record: AuditRecord; proof: InclusionProof }> {
  const bodies = ['{"a":1}', '{"b":"ü"}', '{"c":3}'];
  const [a, b, c] = (await Promise.all(bodies.map((body) => leafHash(encode(body))))) as [Uint8Array, Uint8Array, Uint8Array];
  const previous = new Uint8Array(32).fill(9);
  const root = await nodeHash(await nodeHash(a, b), c);
  const link = toHex(await linkHash(previous, 2, b));
  const record = {
    sequence: 2,
    body: bodies[1],
    leaf: toHex(b),
    hash: link,
    link,
    previous_hash: toHex(previous),
  } as AuditRecord;
  const proof = { leaf: toHex(b), index: 1, size: 3, hashes: [toHex(a), toHex(c)], checkpoint: signed(3, root) };
  return { record, proof };
}

const states = (checked: CheckedProof): string => checked.steps.map((step) => step.state).join(' ');

test('an untouched record is proved up to the signature', async () => {
  const { record, proof } = await proved();
  assert.equal(states(await checkProof(record, proof, [key])), 'good good good good');
});

test('one changed character breaks leaf, link and tree', async () => {
  const { record, proof } = await proved();
  const changed = { ...record, body: '{"b":"u"}' };
  assert.equal(states(await checkProof(changed, proof, [key])), 'bad bad bad good');
});

test('a record that claims another place is not in the tree', async () => {
  const { record, proof } = await proved();
  const checked = await checkProof({ ...record, sequence: 3 }, { ...proof, index: 1 }, [key]);
  assert.equal(checked.steps[2]?.state, 'bad');
});

test('a head of another key and a forged head are no proof', async () => {
  const { record, proof } = await proved();
  assert.equal((await checkProof(record, proof, [])).steps[3]?.why, 'no-key');
  const forged = { ...proof, checkpoint: proof.checkpoint.replace('\n3\n', '\n4\n') };
  const checked = await checkProof(record, forged, [key]);
  assert.equal(checked.steps[3]?.state, 'bad');
});

test('a pruned record is proved by the leaf that is kept', async () => {
  const { record, proof } = await proved();
  const pruned = { ...record, body: null, pruned: true };
  assert.equal(states(await checkProof(pruned, proof, [key])), 'open good good good');
});

test('without a checkpoint only the chain is checked', async () => {
  const { record } = await proved();
  assert.equal(states(await checkProof(record, null, [key])), 'good good open open');
});
