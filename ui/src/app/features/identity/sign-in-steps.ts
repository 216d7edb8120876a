import { SecondFactor } from '@core/session/session';

/** A provider where somebody can sign in. */
export interface ProviderChoice {
  id: string;
  name: string;
  kind: 'oidc' | 'saml';
  start_url: string;
}

/** How an e-mail address may sign in, as the server tells it for any address. */
export interface Discovery {
  methods: string[];
  providers: ProviderChoice[];
}

/** Where a sign-in stands. */
export type Step =
  | { name: 'email' }
  | { name: 'choose'; email: string; password: boolean; passkey: boolean; providers: readonly ProviderChoice[] }
  | { name: 'second'; second: SecondFactor; method: SecondMethod };

/** A way to prove the second factor. */
export type SecondMethod = SecondFactor['methods'][number];

/** What is offered when the server could not say more: a password always can be tried. */
export const withoutDiscovery: Discovery = { methods: ['password', 'passkey'], providers: [] };

/**
 * The step behind the e-mail address. Passkeys are offered where the browser has
 * them. A password is offered when nothing else is, so that nobody stands before
 * an empty page.
 */
export function chosen(email: string, found: Discovery, passkeys: boolean): Step {
  const passkey = passkeys && found.methods.includes('passkey');
  const providers = found.providers.filter((one) => one.start_url.startsWith('/') && !one.start_url.startsWith('//'));
  const password = found.methods.includes('password') || providers.length === 0;
  return { name: 'choose', email, password, passkey, providers };
}

/** The step that asks for a second factor; the quick ways first. */
export function secondStep(second: SecondFactor, passkeys: boolean): Step {
  return { name: 'second', second, method: secondMethods(second, passkeys)[0] ?? 'recovery_code' };
}

/** The ways to prove the second factor that work in this browser. */
export function secondMethods(second: SecondFactor, passkeys: boolean): SecondMethod[] {
  const works = (method: SecondMethod) => method !== 'passkey' || (passkeys && second.options !== null);
  return (['passkey', 'totp', 'recovery_code'] as const).filter((one) => second.methods.includes(one) && works(one));
}

/** Where a provider begins, so that it comes back to the page that was asked for. */
export function startAddress(provider: ProviderChoice, returnTo: string): string {
  const joint = provider.start_url.includes('?') ? '&' : '?';
  return `${provider.start_url}${joint}return_to=${encodeURIComponent(returnTo)}`;
}

/** The secret that a link carries behind its `#`, where no server and no log sees it. */
export function fragmentToken(fragment: string | null, name = ''): string {
  const text = (fragment ?? '').trim();
  if (!name) return text;
  return new URLSearchParams(text).get(name) ?? '';
}

/** What a provider's redirect says went wrong, in a sentence. */
export function signInError(code: string | undefined): string {
  switch (code) {
    case undefined:
    case '':
      return '';
    case 'expired':
      return $localize`This sign-in took too long, or was begun in another window. Begin again.`;
    case 'not_allowed':
      return $localize`Your provider knows you, but there is no account for you here. Ask an administrator of your organisation.`;
    case 'refused':
      return $localize`The sign-in was refused. Ask an administrator of your organisation.`;
    case 'unavailable':
      return $localize`Your sign-in provider does not answer. Try again later, or sign in with a password.`;
    case 'not_found':
      return $localize`This sign-in provider does not exist any more. Enter your e-mail address to see the present ones.`;
    case 'invalid':
      return $localize`The answer of your sign-in provider could not be accepted. Begin again; if it stays, tell an administrator.`;
    default:
      return $localize`The sign-in at your provider failed. Begin again; if it stays, tell an administrator.`;
  }
}
