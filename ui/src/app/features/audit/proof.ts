import { AuditRecord, CheckpointKey, InclusionProof } from './record';
import { leafHash, linkHash, readHash, rootOf, same, toHex } from './merkle';
import { SignatureCheck, checkSignature, parseCheckpoint } from './note';

/** One step of checking a record, done in the browser. */
export interface ProofStep {
  name: 'leaf' | 'link' | 'inclusion' | 'signature';
  state: 'good' | 'bad' | 'open';
  /** What was computed, in hexadecimal or as a word. */
  result: string;
  /** Why it is bad or open. */
  why: ProofFault | null;
}

/** Why a step did not succeed; the page has the sentences. */
export type ProofFault = 'pruned' | 'no-body' | 'differs' | 'no-checkpoint' | 'unreadable' | SignatureCheck;

/** The steps and the words of the checkpoint that they lead to. */
export interface CheckedProof {
  steps: ProofStep[];
  size: number;
  origin: string;
  keyName: string;
  keyKind: string;
}

/** Computes leaf, link and root again from what was stored, and checks the signature of the checkpoint. */
export async function checkProof(
  record: AuditRecord,
  proof: InclusionProof | null,
  keys: readonly CheckpointKey[],
): Promise<CheckedProof> {
  const head = proof && attempt(() => parseCheckpoint(proof.checkpoint));
  const steps = [
    await leafStep(record),
    await linkStep(record),
    await inclusionStep(record, proof, head),
    await signatureStep(head, keys),
  ];
  const signer = head && keys.find((key) => key.vkey.startsWith(`${head.origin}+`));
  return {
    steps,
    size: head?.size ?? 0,
    origin: head?.origin ?? '',
    keyName: signer?.name ?? '',
    keyKind: signer?.kind ?? '',
  };
}

async function leafStep(record: AuditRecord): Promise<ProofStep> {
  if (record.pruned) return open('leaf', 'pruned');
  if (typeof record.body !== 'string') return open('leaf', 'no-body');
  const leaf = await leafHash(new TextEncoder().encode(record.body));
  return compared('leaf', leaf, record.leaf);
}

async function linkStep(record: AuditRecord): Promise<ProofStep> {
  const leaf = await leafOf(record);
  const previous = attempt(() => readHash(record.previous_hash));
  if (!leaf || !previous) return open('link', 'no-body');
  return compared('link', await linkHash(previous, record.sequence, leaf), record.link ?? record.hash);
}

async function inclusionStep(
  record: AuditRecord,
  proof: InclusionProof | null,
  head: ReturnType<typeof parseCheckpoint> | null,
): Promise<ProofStep> {
  if (!proof) return open('inclusion', 'no-checkpoint');
  const leaf = await leafOf(record);
  if (!leaf) return open('inclusion', 'no-body');
  try {
    const path = proof.hashes.map(readHash);
    // The place follows from the record, not from what the proof says about itself.
    const root = await rootOf(leaf, record.sequence - 1, head?.size ?? 0, path);
    return compared('inclusion', root, head ? toHex(head.root) : '');
  } catch {
    return { name: 'inclusion', state: 'bad', result: '', why: 'unreadable' };
  }
}

async function signatureStep(
  head: ReturnType<typeof parseCheckpoint> | null,
  keys: readonly CheckpointKey[],
): Promise<ProofStep> {
  if (!head) return open('signature', 'no-checkpoint');
  const check = await checkSignature(head, keys.map((key) => key.vkey)).catch(() => 'invalid' as const);
  if (check === 'valid') return { name: 'signature', state: 'good', result: head.origin, why: null };
  return { name: 'signature', state: check === 'invalid' ? 'bad' : 'open', result: '', why: check };
}

// The leaf is computed from the stored text. Only where that is gone, the kept leaf stands for it.
async function leafOf(record: AuditRecord): Promise<Uint8Array | null> {
  if (typeof record.body === 'string') return leafHash(new TextEncoder().encode(record.body));
  return record.leaf ? attempt(() => readHash(record.leaf ?? '')) : null;
}

function compared(name: ProofStep['name'], computed: Uint8Array, told: string | undefined): ProofStep {
  const expected = attempt(() => readHash(told ?? ''));
  const good = expected !== null && same(expected, computed);
  return { name, state: good ? 'good' : 'bad', result: toHex(computed), why: good ? null : 'differs' };
}

function open(name: ProofStep['name'], why: ProofFault): ProofStep {
  return { name, state: 'open', result: '', why };
}

function attempt<T>(read: () => T): T | null {
  try {
    return read();
  } catch {
    return null;
  }
}
