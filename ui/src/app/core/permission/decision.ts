import { Grant } from './grant';

/** A grant with where its holder has it from. */
export interface Source extends Grant {
  role: string;
  /** "role Deployer through group Operations". */
  via?: string;
  within_compartment_id?: string;
}

/** A grant that was looked at for a decision. */
export interface Considered extends Source {
  specificity: number;
  matched: boolean;
  /** Why a grant for this permission does not hold, or holds without an answer. */
  note?: string;
}

/** The answer to one question, with its reason. */
export interface Decision {
  allowed: boolean;
  permission: string;
  reason: string;
  decided_by: Source | null;
  considered: Considered[] | null;
}

/** Whether this is the grant that decided. */
export function decides(decision: Decision, one: Source): boolean {
  const by = decision.decided_by;
  return (
    by !== null &&
    by.permission === one.permission &&
    by.effect === one.effect &&
    Boolean(by.hard) === Boolean(one.hard) &&
    by.role === one.role &&
    (by.via ?? '') === (one.via ?? '') &&
    (by.condition ?? '') === (one.condition ?? '') &&
    (by.compartment_id ?? '') === (one.compartment_id ?? '')
  );
}

/** The considered grants as they are read: the one that decides, those that hold, the rest; the specific ones first. */
export function inOrder(decision: Decision): Considered[] {
  const rank = (one: Considered) => (one.matched ? (decides(decision, one) ? 2 : 1) : 0);
  return [...(decision.considered ?? [])].sort((a, b) => rank(b) - rank(a) || b.specificity - a.specificity);
}
