import assert from 'node:assert/strict';
import { test } from 'node:test';

import { leafHash, linkHash, nodeHash, readHash, rootOf, same, sha256, toHex } from './merkle';

// The leaves and roots that the tests of Certificate Transparency use for RFC 6962.
const hex = (text: string): Uint8Array => Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
const leaves = [
  '',
  '00',
  '10',
  '2021',
  '3031',
  '40414243',
  '5051525354555657',
  '606162636465666768696a6b6c6d6e6f',
].map(hex);
const roots = [
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
];

async function tree(bodies: Uint8Array[]): Promise<Uint8Array> {
  const [only] = bodies;
  if (bodies.length === 1 && only) return leafHash(only);
  const k = 2 ** Math.floor(Math.log2(bodies.length - 1));
  return nodeHash(await tree(bodies.slice(0, k)), await tree(bodies.slice(k)));
}

async function proof(bodies: Uint8Array[], index: number): Promise<Uint8Array[]> {
  if (bodies.length === 1) return [];
  const k = 2 ** Math.floor(Math.log2(bodies.length - 1));
  return index < k
    ? [...(await proof(bodies.slice(0, k), index)), await tree(bodies.slice(k))]
    : [...(await proof(bodies.slice(k), index - k)), await tree(bodies.slice(0, k))];
}

test('the empty leaf and the roots of the known trees', async () => {
  assert.equal(toHex(await sha256()), 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
  for (const [at, root] of roots.entries()) assert.equal(toHex(await tree(leaves.slice(0, at + 1))), root);
});

test('the known inclusion proofs lead to the root', async () => {
  const path = [
    '96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7',
    '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
    '6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4',
  ].map(readHash);
  assert.equal(toHex(await rootOf(await leafHash(hex('')), 0, 8, path)), roots[7]);
});

test('every leaf of every size is proven, and no other is', async () => {
  for (let size = 1; size <= leaves.length; size++) {
    for (let index = 0; index < size; index++) {
      const path = await proof(leaves.slice(0, size), index);
      const leaf = await leafHash(leaves[index] ?? hex(''));
      assert.equal(toHex(await rootOf(leaf, index, size, path)), roots[size - 1]);
      const other = await leafHash(hex('ff'));
      assert.notEqual(toHex(await rootOf(other, index, size, path)), roots[size - 1]);
    }
  }
});

test('a proof of the wrong length or for a leaf outside is refused', async () => {
  const leaf = await leafHash(hex('00'));
  const path = await proof(leaves, 1);
  await assert.rejects(rootOf(leaf, 1, 8, path.slice(1)), /too short/);
  await assert.rejects(rootOf(leaf, 1, 8, [...path, leaf]), /too long/);
  await assert.rejects(rootOf(leaf, 8, 8, path), /outside/);
});

test('a link covers the link before, the number and the leaf', async () => {
  const zero = new Uint8Array(32);
  const link = await linkHash(zero, 1, zero);
  const number = hex('0000000000000001');
  assert.ok(same(link, await sha256(2, zero, number, zero)));
  assert.ok(!same(link, await linkHash(zero, 2, zero)));
});

test('hashes are read from hexadecimal and from base64, and nothing else', () => {
  const bytes = hex(roots[0] ?? '');
  assert.ok(same(readHash(roots[0] ?? ''), bytes));
  assert.ok(same(readHash(Buffer.from(bytes).toString('base64')), bytes));
  assert.throws(() => readHash('AAAA'), /32 bytes/);
});
