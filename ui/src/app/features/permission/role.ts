/** One allowance or denial of a role. */
export interface Grant {
  permission: string;
  effect: 'allow' | 'deny';
  /** A hard denial beats every allowance, however specific. */
  hard: boolean;
}

/** A role of the active tenant, or one that comes with Nimbus. */
export interface Role {
  id: string;
  name: string;
  description: string;
  system: boolean;
  grants: Grant[];
}

/** A grant with the role it comes from, as an explanation names it. */
export interface RoleGrant extends Grant {
  role: string;
}

/** Why a permission is granted or not. */
export interface Explanation {
  allowed: boolean;
  permission: string;
  reason: string;
  decided_by: RoleGrant | null;
  considered: (RoleGrant & { specificity: number; matched: boolean })[];
}

/** `domain:resource:action` with an optional subtype; each part a word or `*`. */
export const permissionPattern = /^(\*|[a-z][a-z0-9_]*)(:(\*|[a-z][a-z0-9_]*)){2,3}$/;
