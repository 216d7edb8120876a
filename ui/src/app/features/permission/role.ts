import { Grant, SubjectKind, Subject } from '@core/permission/grant';

/** A role of the active tenant, or one that comes with Nimbus. */
export interface Role {
  id: string;
  name: string;
  description: string;
  system: boolean;
  grants: Grant[];
  /** Roles whose grants it has too. */
  inherits?: string[] | null;
  /** How many hold it directly. */
  holders?: number;
}

/** A role that is given to somebody, perhaps only for a part or a time. */
export interface Assignment extends Subject {
  id: string;
  role_id: string;
  subject_name?: string;
  role_name?: string;
  compartment_id?: string | null;
  not_before?: string | null;
  expires_at?: string | null;
}

/** A grant that somebody has without a role. */
export interface DirectGrant extends Grant, Subject {
  id: string;
  subject_name?: string;
}

/** What kind of holder it is, in words. */
export function kindWord(kind: SubjectKind): string {
  switch (kind) {
    case 'user':
      return $localize`person`;
    case 'group':
      return $localize`group`;
    case 'service_account':
      return $localize`service account`;
  }
}

/** The name of a holder, or what else is known. */
export function holderName(one: Subject & { subject_name?: string }): string {
  return one.subject_name ?? one.subject_id;
}

/** The page of a holder. */
export function holderLink(subject: Subject): string {
  switch (subject.subject_kind) {
    case 'user':
      return '/users';
    case 'group':
      return `/users/groups/${subject.subject_id}`;
    case 'service_account':
      return `/users/service-accounts/${subject.subject_id}`;
  }
}

/**
 * The grants that a role has from those it inherits, each with the role it is
 * written in. A loop, which the server refuses, is followed once.
 */
export function inheritedGrants(inherits: readonly string[], roles: readonly Role[]): (Grant & { role: string })[] {
  const byId = new Map(roles.map((role) => [role.id, role]));
  const seen = new Set<string>();
  const walk = (ids: readonly string[]): (Grant & { role: string })[] =>
    ids.flatMap((id) => {
      const role = byId.get(id);
      if (!role || seen.has(id)) return [];
      seen.add(id);
      return [...role.grants.map((grant) => ({ ...grant, role: role.name })), ...walk(role.inherits ?? [])];
    });
  return walk(inherits);
}

/** The roles that `id` may inherit: not itself, and none that inherits it already. */
export function inheritable(id: string | null, roles: readonly Role[]): Role[] {
  const reaches = (role: Role, seen: ReadonlySet<string>): boolean =>
    role.id === id ||
    (role.inherits ?? []).some((next) => {
      const below = roles.find((one) => one.id === next);
      return below !== undefined && !seen.has(next) && reaches(below, new Set([...seen, next]));
    });
  return roles.filter((role) => id === null || !reaches(role, new Set([role.id])));
}
