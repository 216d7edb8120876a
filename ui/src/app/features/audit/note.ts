import { fromBase64, same, sha256 } from './merkle';

// Signed notes and checkpoints as C2SP has them: signed-note and tlog-checkpoint.
const typeEd25519 = 0x01;
const typeECDSA = 0x02;

/** A signed tree head. */
export interface SignedHead {
  origin: string;
  size: number;
  root: Uint8Array;
  /** Exactly what was signed. */
  text: string;
  signatures: NoteSignature[];
}

interface NoteSignature {
  name: string;
  keyID: Uint8Array;
  bytes: Uint8Array;
}

/** Reads a signed checkpoint. Throws a sentence when it is none. */
export function parseCheckpoint(note: string): SignedHead {
  const split = note.indexOf('\n\n');
  if (split < 0) throw new Error('The checkpoint carries no signature.');
  const text = note.slice(0, split + 1);
  const [origin = '', size = '', root = ''] = text.split('\n');
  if (!origin || !/^(0|[1-9]\d*)$/.test(size)) throw new Error('The checkpoint does not name its origin and size.');
  const bytes = fromBase64(root);
  if (bytes.length !== 32) throw new Error('The root in the checkpoint is not 32 bytes long.');
  const signatures = note.slice(split + 2).split('\n').filter(Boolean).map(parseSignature);
  return { origin, size: Number(size), root: bytes, text, signatures };
}

function parseSignature(line: string): NoteSignature {
  const match = /^— (\S+) (\S+)$/.exec(line);
  if (!match) throw new Error('A signature line of the checkpoint cannot be read.');
  const bytes = fromBase64(match[2] ?? '');
  return { name: match[1] ?? '', keyID: bytes.slice(0, 4), bytes: bytes.slice(4) };
}

/** What checking the signature came to; `unsupported`: this browser lacks the algorithm. */
export type SignatureCheck = 'valid' | 'invalid' | 'no-key' | 'unsupported';

/** Checks the signatures of a head with verifier keys (`name+id+base64`); one valid signature is enough. */
export async function checkSignature(head: SignedHead, keys: readonly string[]): Promise<SignatureCheck> {
  let worst: SignatureCheck = 'no-key';
  for (const key of keys) {
    const result = await checkWith(head, key);
    if (result === 'valid') return result;
    if (result !== 'no-key') worst = result;
  }
  return worst;
}

async function checkWith(head: SignedHead, vkey: string): Promise<SignatureCheck> {
  const [, name = '', encoded = ''] = /^(.+)\+[0-9a-f]{8}\+(\S+)$/.exec(vkey) ?? [];
  if (name !== head.origin) return 'no-key';
  const typed = fromBase64(encoded);
  const id = await keyID(name, typed);
  const signature = head.signatures.find((each) => each.name === name && same(each.keyID, id));
  if (!signature) return 'no-key';
  return verify(typed, signature.bytes, new TextEncoder().encode(head.text));
}

async function keyID(name: string, typed: Uint8Array): Promise<Uint8Array> {
  const whole =
    typed[0] === typeECDSA ? sha256(typed.slice(1)) : sha256(new TextEncoder().encode(`${name}\n`), typed);
  return (await whole).slice(0, 4);
}

async function verify(typed: Uint8Array, signature: Uint8Array, message: Uint8Array<ArrayBuffer>): Promise<SignatureCheck> {
  const key = typed.slice(1);
  try {
    return (await (typed[0] === typeECDSA
      ? verifyECDSA(key, signature, message)
      : typed[0] === typeEd25519 && verifyEd25519(key, new Uint8Array(signature), message)))
      ? 'valid'
      : 'invalid';
  } catch (cause) {
    if (cause instanceof DOMException && cause.name === 'NotSupportedError') return 'unsupported';
    return 'invalid';
  }
}

async function verifyEd25519(
  raw: Uint8Array<ArrayBuffer>,
  signature: Uint8Array<ArrayBuffer>,
  message: Uint8Array<ArrayBuffer>,
): Promise<boolean> {
  const key = await crypto.subtle.importKey('raw', raw, 'Ed25519', false, ['verify']);
  return crypto.subtle.verify('Ed25519', key, signature, message);
}

async function verifyECDSA(
  spki: Uint8Array<ArrayBuffer>,
  signature: Uint8Array,
  message: Uint8Array<ArrayBuffer>,
): Promise<boolean> {
  const curve = { name: 'ECDSA', namedCurve: 'P-256' };
  const key = await crypto.subtle.importKey('spki', spki, curve, false, ['verify']);
  return crypto.subtle.verify({ name: 'ECDSA', hash: 'SHA-256' }, key, rawSignature(signature), message);
}

/** The two numbers of an ECDSA signature in DER as the 64 bytes that WebCrypto takes. */
export function rawSignature(der: Uint8Array): Uint8Array<ArrayBuffer> {
  const raw = new Uint8Array(64);
  let at = 2;
  if (der[0] !== 0x30 || der[1] !== der.length - 2) throw new Error('The signature is not in DER.');
  for (const end of [32, 64]) {
    const length = der[at + 1] ?? 0;
    if (der[at] !== 0x02 || at + 2 + length > der.length) throw new Error('The signature is not in DER.');
    const number = der.slice(at + 2, at + 2 + length);
    const digits = number[0] === 0 ? number.slice(1) : number;
    if (digits.length > 32) throw new Error('The signature is not one of P-256.');
    raw.set(digits, end - digits.length);
    at += 2 + length;
  }
  if (at !== der.length) throw new Error('The signature is not in DER.');
  return raw;
}
