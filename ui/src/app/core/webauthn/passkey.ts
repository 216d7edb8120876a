import { Problem } from '../api/problem';

// What of the JSON form of WebAuthn Level 3 is looked at here; the rest is passed on.
interface Described {
  id: string;
  [other: string]: unknown;
}
interface CreationJSON {
  challenge: string;
  user: Described;
  excludeCredentials?: Described[];
  [other: string]: unknown;
}
interface RequestJSON {
  challenge: string;
  allowCredentials?: Described[];
  [other: string]: unknown;
}

/** Whether this browser has passkeys at this address. */
export function passkeysWork(): boolean {
  return typeof PublicKeyCredential === 'function' && window.isSecureContext;
}

/** Makes a passkey; answers what the server wants to store. Rejects with a Problem. */
export async function makePasskey(options: unknown): Promise<object> {
  const publicKey = creationOptions(options as CreationJSON);
  const made = await navigator.credentials.create({ publicKey }).catch(refuse);
  if (!made) throw cancelled();
  return credentialJSON(made as PublicKeyCredential);
}

/** Proves the person with a passkey; answers what the server wants to check. Rejects with a Problem. */
export async function usePasskey(options: unknown): Promise<object> {
  const publicKey = requestOptions(options as RequestJSON);
  const used = await navigator.credentials.get({ publicKey }).catch(refuse);
  if (!used) throw cancelled();
  return credentialJSON(used as PublicKeyCredential);
}

/** Options of a new passkey as the browser takes them. */
export function creationOptions(json: CreationJSON): PublicKeyCredentialCreationOptions {
  return {
    ...json,
    challenge: bytes(json.challenge),
    user: { ...json.user, id: bytes(json.user.id) },
    excludeCredentials: (json.excludeCredentials ?? []).map(described),
  } as unknown as PublicKeyCredentialCreationOptions;
}

/** Options of a proof as the browser takes them. */
export function requestOptions(json: RequestJSON): PublicKeyCredentialRequestOptions {
  return {
    ...json,
    challenge: bytes(json.challenge),
    allowCredentials: (json.allowCredentials ?? []).map(described),
  } as unknown as PublicKeyCredentialRequestOptions;
}

/** What an authenticator answered, in JSON. */
export function credentialJSON(credential: PublicKeyCredential): object {
  const { response } = credential;
  const parts: Record<string, string> = {};
  for (const name of ['clientDataJSON', 'attestationObject', 'authenticatorData', 'signature', 'userHandle']) {
    const value = (response as unknown as Record<string, ArrayBuffer | null | undefined>)[name];
    if (value instanceof ArrayBuffer) parts[name] = text(value);
  }
  const transports = (response as Partial<AuthenticatorAttestationResponse>).getTransports?.();
  return {
    id: credential.id,
    rawId: text(credential.rawId),
    type: credential.type,
    authenticatorAttachment: credential.authenticatorAttachment ?? undefined,
    clientExtensionResults: credential.getClientExtensionResults(),
    response: { ...parts, ...(transports ? { transports } : {}) },
  };
}

function described(one: Described): object {
  return { ...one, id: bytes(one.id) };
}

/** Bytes that are written in base64url. */
export function bytes(base64url: string): Uint8Array<ArrayBuffer> {
  const plain = atob(base64url.replace(/-/g, '+').replace(/_/g, '/'));
  return Uint8Array.from(plain, (one) => one.charCodeAt(0));
}

/** Bytes in base64url, without padding. */
export function text(buffer: ArrayBuffer): string {
  const plain = Array.from(new Uint8Array(buffer), (byte) => String.fromCharCode(byte)).join('');
  return btoa(plain).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');
}

function cancelled(): Problem {
  return new Problem($localize`The passkey was not used. Try again, or take another way.`, 'unauthenticated', 0);
}

// Browsers tell apart little on purpose; only what helps the person is told.
function refuse(cause: unknown): never {
  const name = cause instanceof DOMException ? cause.name : '';
  if (name === 'InvalidStateError') {
    throw new Problem($localize`This device has a passkey of yours already. Use it, or take another device.`, 'conflict', 0);
  }
  if (name === 'SecurityError' || name === 'NotSupportedError') {
    throw new Problem($localize`Passkeys do not work here. Open Nimbus at its own address, by HTTPS.`, 'invalid', 0);
  }
  throw cancelled();
}
