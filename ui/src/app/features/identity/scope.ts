const part = '(?:\\*|[a-z][a-z0-9_-]*)';
const pattern = new RegExp(`^${part}(?::${part}){2,3}$`);

/** How much of what its owner may do a token may do. */
export type Reach = 'all' | 'read' | 'chosen';

/** What is wrong with a permission pattern as a scope, in words; null when it fits. */
export function scopeProblem(text: string, taken: readonly string[]): string | null {
  const scope = text.trim();
  if (!scope) return $localize`Fill in this field.`;
  if (!pattern.test(scope)) {
    return $localize`Enter domain:resource:action, with * for any part, such as deployment:stack:read.`;
  }
  return taken.includes(scope) ? $localize`This is already in the list.` : null;
}

/** The scopes that a choice means; none at all is everything that the owner may do. */
export function scopesOf(reach: Reach, chosen: readonly string[]): string[] {
  switch (reach) {
    case 'all':
      return [];
    case 'read':
      return ['*:*:read'];
    case 'chosen':
      return [...chosen];
  }
}
