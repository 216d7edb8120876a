import { inject } from '@angular/core';
import { CanActivateFn, Router, UrlTree } from '@angular/router';

import { Api } from '../api/api';
import { asProblem } from '../api/problem';
import { Session } from './session';

/** Lets signed-in people pass; others go to set-up while it is open, else to sign-in. */
export const signedIn: CanActivateFn = async (_route, state) => {
  const session = inject(Session);
  const router = inject(Router);
  const api = inject(Api);
  const reachable = await session.load().then(
    () => true,
    () => false,
  );
  if (session.signedIn()) return !session.limited() || router.parseUrl('/second-factor');
  if (await setupOpen(api)) return router.parseUrl('/setup');
  return signIn(router, state.url, reachable);
};

/** Lets people pass whose session waits for a second factor; others go to the first page. */
export const limited: CanActivateFn = async () => {
  const session = inject(Session);
  const router = inject(Router);
  await session.load().catch(() => undefined);
  return session.limited() || router.parseUrl('/');
};

/** Keeps the set-up wizard away once set-up is closed. */
export const setupIsOpen: CanActivateFn = async () => {
  const router = inject(Router);
  return (await setupOpen(inject(Api))) || router.parseUrl('/sign-in');
};

/** The part of a return address that stays inside this interface, else `/`. */
export function safeReturn(url: string | null): string {
  if (!url || !/^\/(?![/\\])/.test(url) || url.startsWith('/sign-in')) return '/';
  return url;
}

async function setupOpen(api: Api): Promise<boolean> {
  try {
    return (await api.get<{ open: boolean }>('/setup')).open;
  } catch (cause) {
    return asProblem(cause).code === 'unauthenticated';
  }
}

function signIn(router: Router, url: string, reachable: boolean): UrlTree {
  const query: Record<string, string> = {};
  if (url !== '/') query['return'] = safeReturn(url);
  if (!reachable) query['unreachable'] = '1';
  return router.createUrlTree(['/sign-in'], { queryParams: query });
}
