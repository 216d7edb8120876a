/** How a person can prove that it is still them, as the server tells it. */
export interface Proof {
  methods: string[];
  /** For the browser's passkeys. */
  options?: unknown;
  state?: string;
  /** Where a provider asks the person; it comes back with `return_to`. */
  redirect?: string;
}

/** The ways as the dialog offers them; both kinds of providers are one. */
export type ProofMethod = 'passkey' | 'password' | 'totp' | 'elsewhere';

/** The page that tells the others that the person came back from a provider. */
export const returnPage = '/signed-in-again';
const channel = 'nimbus.signed-in-again';

/** The ways to offer, the quick ones first; ways that this version does not know are left out. */
export function proofsOf(methods: readonly string[] = []): ProofMethod[] {
  const known = methods.map((one) => (one === 'oidc' || one === 'saml' ? 'elsewhere' : one));
  return (['passkey', 'password', 'totp', 'elsewhere'] as const).filter((one) => known.includes(one));
}

/** Where a provider asks again, so that it comes back to `page`. */
export function elsewhereAddress(redirect: string, page: string): string {
  return `${redirect}${redirect.includes('?') ? '&' : '?'}return_to=${encodeURIComponent(page)}`;
}

/** A window in which a provider asks, so that what waits here is not lost. */
export class Elsewhere {
  private line: BroadcastChannel | null = null;

  constructor(private readonly back: () => void) {}

  /** Opens the window; false when the browser does not allow one. */
  open(redirect: string): boolean {
    this.stop();
    this.line = new BroadcastChannel(channel);
    this.line.onmessage = () => this.back();
    return window.open(elsewhereAddress(redirect, returnPage), '_blank', 'popup,width=560,height=720') !== null;
  }

  /** Stops waiting. */
  stop(): void {
    this.line?.close();
    this.line = null;
  }
}

/** Tells the window that waits that the person came back. */
export function cameBack(): void {
  const line = new BroadcastChannel(channel);
  line.postMessage('back');
  line.close();
}
