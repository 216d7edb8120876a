// The arithmetic of the audit trail, done again in the browser: RFC 9162 for the
// tree, and the chain that links the leaves in order.

const leafPrefix = 0x00;
const nodePrefix = 0x01;
const linkPrefix = 0x02;

/** SHA-256 of all parts, one after the other. */
export async function sha256(...parts: readonly (Uint8Array | number)[]): Promise<Uint8Array> {
  const chunks = parts.map((part) => (typeof part === 'number' ? Uint8Array.of(part) : part));
  const all = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return new Uint8Array(await crypto.subtle.digest('SHA-256', all));
}

/** The leaf hash of a body. */
export function leafHash(body: Uint8Array): Promise<Uint8Array> {
  return sha256(leafPrefix, body);
}

/** The hash of an inner node. */
export function nodeHash(left: Uint8Array, right: Uint8Array): Promise<Uint8Array> {
  return sha256(nodePrefix, left, right);
}

/** The link of the record with that sequence number. */
export function linkHash(previous: Uint8Array, sequence: number, leaf: Uint8Array): Promise<Uint8Array> {
  const number = new Uint8Array(8);
  new DataView(number.buffer).setBigUint64(0, BigInt(sequence));
  return sha256(linkPrefix, previous, number, leaf);
}

/**
 * The root that follows from a leaf and its inclusion proof (RFC 9162, section
 * 2.1.3.2). Throws when the proof cannot be one for that leaf and size.
 */
export async function rootOf(
  leaf: Uint8Array,
  index: number,
  size: number,
  path: readonly Uint8Array[],
): Promise<Uint8Array> {
  if (!Number.isSafeInteger(index) || !Number.isSafeInteger(size) || index < 0 || index >= size) {
    throw new Error('The leaf lies outside of the tree.');
  }
  let fn = BigInt(index);
  let sn = BigInt(size - 1);
  let root = leaf;
  for (const sibling of path) {
    if (sn === 0n) throw new Error('The proof is too long for a tree of this size.');
    if (fn % 2n === 1n || fn === sn) {
      root = await nodeHash(sibling, root);
      while (fn % 2n === 0n && fn !== 0n) [fn, sn] = [fn / 2n, sn / 2n];
    } else {
      root = await nodeHash(root, sibling);
    }
    [fn, sn] = [fn / 2n, sn / 2n];
  }
  if (sn !== 0n) throw new Error('The proof is too short for a tree of this size.');
  return root;
}

/** Whether two hashes are the same. */
export function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}

/** A hash as it is written in an answer: 64 hexadecimal digits, or base64. Throws for anything else. */
export function readHash(text: string): Uint8Array {
  const bytes = /^[0-9a-f]{64}$/i.test(text) ? fromHex(text) : fromBase64(text);
  if (bytes.length !== 32) throw new Error('A hash of the answer is not 32 bytes long.');
  return bytes;
}

/** Bytes as hexadecimal digits. */
export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

function fromHex(text: string): Uint8Array {
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

/** The bytes of standard base64. Throws when it is none. */
export function fromBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
}
