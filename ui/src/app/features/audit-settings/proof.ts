import { Tone } from '@core/page/badge';

/** A signed head of the chain. */
export interface Checkpoint {
  id: string;
  size: number;
  root: string;
  note: string;
  key_kind: string;
  key_name: string;
  algorithm: string;
  created_at: string;
  published: Published[] | null;
}

/** Where a checkpoint went, or failed to go. */
export interface Published {
  place: string;
  at: string | null;
  error?: string;
}

/** The state of the key that signs. */
export interface Signer {
  kind: string;
  state: string;
  reason?: string;
  since?: string | null;
  pending_checkpoints?: number;
}

/** A public key with which checkpoints are verified. */
export interface SigningKey {
  name: string;
  vkey: string;
  algorithm: string;
  kind?: string;
  created_at: string;
  retired_at?: string | null;
}

/** Where the key lies, in words. */
export function keyPlace(kind: string): string {
  switch (kind) {
    case 'hsm':
      return $localize`hardware security module`;
    case 'file':
      return $localize`file on the appliance`;
    default:
      return kind || $localize`none`;
  }
}

/** Where the key lies, in a word. */
export function keyPlaceShort(kind: string): string {
  if (kind === 'hsm') return $localize`HSM`;
  return kind === 'file' ? $localize`file` : kind;
}

/** A moment, or null where there was none: the zero time of the server is year 1. */
export function knownTime(at: string | null | undefined): string | null {
  return at && !at.startsWith('0001-') ? at : null;
}

/** The colour of the signer's state. */
export function signerTone(state: string): Tone {
  if (state === 'ready') return 'good';
  return state === 'failing' ? 'bad' : 'warn';
}

/** The signer's state in a word. */
export function signerWord(state: string): string {
  switch (state) {
    case 'ready':
      return $localize`signs`;
    case 'failing':
      return $localize`cannot sign`;
    case 'none':
      return $localize`no key yet`;
    default:
      return state;
  }
}

/** How far the publication of a checkpoint is. */
export interface Reach {
  tone: Tone;
  text: string;
}

/** How far a checkpoint got, in a few words. */
export function reachOf(checkpoint: Checkpoint): Reach {
  const places = checkpoint.published ?? [];
  const there = places.filter((one) => one.at).length;
  const failed = places.filter((one) => !one.at && one.error).length;
  if (places.length === 0) return { tone: 'warn', text: $localize`nowhere` };
  if (failed > 0) return { tone: 'bad', text: $localize`${failed} of ${places.length} failed` };
  if (there < places.length) return { tone: 'busy', text: $localize`${there} of ${places.length}` };
  return { tone: 'good', text: there === 1 ? $localize`one place` : $localize`${there} places` };
}

/** The lines with which somebody checks an export with nothing but the public keys. */
export function verifyCommands(keys: readonly SigningKey[]): string {
  return [
    `cat > nimbus-audit.keys <<'EOF'`,
    ...keys.map((key) => key.vkey),
    `EOF`,
    `nimbus-verify --key nimbus-audit.keys --checkpoints checkpoint.txt export.jsonl`,
  ].join('\n');
}
