import { Grant, isPlain } from '@core/permission/grant';

import { contains, specificity } from './pattern';

/** What is said about a permission: nothing, an allowance, a denial, a denial that nothing overrides. */
export type Saying = 'none' | 'allow' | 'deny' | 'hard';

/** What comes of all grants for one permission or pattern. */
export interface Effect {
  saying: Saying;
  /** The grant that decides. */
  by: Grant | null;
  /** Further grants hold for it only somewhere, sometimes or under a condition. */
  limited: boolean;
}

/** What one grant says. */
export function sayingOf(grant: Pick<Grant, 'effect' | 'hard'>): Saying {
  if (grant.effect === 'allow') return 'allow';
  return grant.hard ? 'hard' : 'deny';
}

/**
 * What the grants say about a permission where they hold everywhere and always.
 * A hard denial decides; then the most specific grant; between equals a denial.
 */
export function effectOf(grants: readonly Grant[], permission: string): Effect {
  const about = grants.filter((grant) => contains(grant.permission, permission));
  const limited = about.some((grant) => !isPlain(grant));
  const by = about.filter(isPlain).reduce<Grant | null>((best, grant) => (best && !outweighs(grant, best) ? best : grant), null);
  return { saying: by ? sayingOf(by) : 'none', by, limited };
}

function outweighs(one: Grant, other: Grant): boolean {
  const hard = (grant: Grant) => sayingOf(grant) === 'hard';
  if (hard(one) !== hard(other)) return hard(one);
  const more = specificity(one.permission) - specificity(other.permission);
  return more > 0 || (more === 0 && one.effect === 'deny' && other.effect === 'allow');
}

/** What is written for exactly this pattern, without limits. */
export function written(grants: readonly Grant[], pattern: string): Saying {
  return effectOf(grants.filter((grant) => grant.permission === pattern), pattern).saying;
}

/** The grants with `saying` written for exactly this pattern; those with limits stay as they are. */
export function write(grants: readonly Grant[], pattern: string, saying: Saying): Grant[] {
  const others = grants.filter((grant) => grant.permission !== pattern || !isPlain(grant));
  if (saying === 'none') return others;
  const grant: Grant = { permission: pattern, effect: saying === 'allow' ? 'allow' : 'deny' };
  return [...others, saying === 'hard' ? { ...grant, hard: true } : grant];
}

/** What a change of grants does to a list of permissions. */
export interface Change {
  permission: string;
  before: Saying;
  after: Saying;
}

/** The permissions that are answered otherwise after a change, by grants without limits. */
export function changes(before: readonly Grant[], after: readonly Grant[], permissions: readonly string[]): Change[] {
  return permissions
    .map((permission) => ({
      permission,
      before: effectOf(before, permission).saying,
      after: effectOf(after, permission).saying,
    }))
    .filter((change) => (change.before === 'allow') !== (change.after === 'allow'));
}
