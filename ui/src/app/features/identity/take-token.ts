/** Takes a secret of a link out of the address bar and of the history, so that nobody reads it there later. */
export function takeToken(token: string): string {
  if (token) history.replaceState(history.state, '', location.pathname + location.search);
  return token;
}
