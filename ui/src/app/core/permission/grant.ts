/** Whether a grant allows or denies. */
export type Effect = 'allow' | 'deny';

/** One allowance or denial, perhaps only under a condition, in a part, for a time. */
export interface Grant {
  permission: string;
  effect: Effect;
  /** A hard denial beats every allowance, however specific. */
  hard?: boolean;
  /** CEL. */
  condition?: string;
  compartment_id?: string | null;
  not_before?: string | null;
  expires_at?: string | null;
}

/** Who can hold rights. */
export type SubjectKind = 'user' | 'group' | 'service_account';

/** Somebody who holds rights. */
export interface Subject {
  subject_kind: SubjectKind;
  subject_id: string;
}

/** Whether a grant holds everywhere, always and for everything. */
export function isPlain(grant: Grant): boolean {
  return !grant.condition && !grant.compartment_id && !grant.not_before && !grant.expires_at;
}

/** `domain:resource:action` with an optional subtype; each part a word or `*`. */
export const permissionPattern = /^(\*|[a-z][a-z0-9_-]*)(:(\*|[a-z][a-z0-9_-]*)){2,3}$/;

/** A permission as it is asked for: without wildcards. */
export const questionPattern = /^[a-z][a-z0-9_-]*(:[a-z][a-z0-9_-]*){2,3}$/;
