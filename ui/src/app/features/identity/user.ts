/** Something that is known by its name. */
export interface NameRef {
  id: string;
  name: string;
}

/** A role by name. */
export type RoleRef = NameRef;

/** Where an account or a group comes from. */
export type Source = 'local' | 'oidc' | 'saml' | 'scim';

/** A person with an account in the active tenant. */
export interface User {
  id: string;
  name: string;
  email: string;
  status: 'active' | 'disabled';
  source?: Source;
  /** A second factor is set up. */
  mfa?: boolean;
  /** The account that comes in when nothing else does; it cannot be taken away. */
  emergency?: boolean;
  groups?: NameRef[];
  roles: RoleRef[];
  last_sign_in_at: string | null;
  created_at: string;
}

/** Where an account or a group comes from, in words. */
export function sourceWord(source: Source | undefined): string {
  switch (source) {
    case 'oidc':
      return $localize`OpenID Connect`;
    case 'saml':
      return $localize`SAML`;
    case 'scim':
      return $localize`SCIM`;
    default:
      return $localize`local`;
  }
}

/** What can be done with a person's account. */
export type UserVerb = 'roles' | 'sessions' | 'reset' | 'mfa' | 'disable' | 'enable' | 'remove';

/**
 * What can be done: nobody shuts themselves out, nobody else changes the
 * emergency account, and who has no password here has none to reset.
 */
export function userVerbs(user: User, me: string | undefined): readonly UserVerb[] {
  const mine = user.id === me;
  const theirs = user.emergency === true && !mine;
  const can: Readonly<Record<UserVerb, boolean>> = {
    roles: !theirs,
    sessions: true,
    reset: (user.source ?? 'local') === 'local' && user.status === 'active' && !mine && !theirs,
    mfa: (user.mfa ?? false) && !mine && !theirs,
    disable: user.status === 'active' && !mine && !theirs,
    enable: user.status === 'disabled' && !theirs,
    remove: !mine && !theirs,
  };
  return (Object.keys(can) as UserVerb[]).filter((verb) => can[verb]);
}

/** The permission that a verb needs. */
export const userPermission: Readonly<Record<UserVerb, string>> = {
  roles: 'permission:role:assign',
  sessions: 'identity:session:read',
  reset: 'identity:user:update',
  mfa: 'identity:mfa:reset',
  disable: 'identity:user:update',
  enable: 'identity:user:update',
  remove: 'identity:user:delete',
};
