import { Api } from '@core/api/api';
import { Decision } from '@core/permission/decision';
import { Grant, Subject } from '@core/permission/grant';

import { Assignment, Role } from './role';

/** What would be different. */
export interface SimulatedChange {
  assign?: (Subject & Pick<Assignment, 'role_id' | 'compartment_id' | 'not_before' | 'expires_at'>)[];
  /** Ids of assignments. */
  unassign?: string[];
  grants_add?: (Subject & Grant)[];
  /** Ids of direct grants. */
  grants_remove?: string[];
  role?: Omit<Role, 'system'>;
}

/** One question that is asked before and after. */
export interface SimulatedQuestion extends Subject {
  permission: string;
  resource?: { compartment_id?: string; kind?: string };
}

/** Its two answers. */
export interface SimulatedResult {
  before: Decision;
  after: Decision;
}

/** Whether nothing would be changed. */
export function isEmptyChange(change: SimulatedChange): boolean {
  return !change.role && ![change.assign, change.unassign, change.grants_add, change.grants_remove].some((list) => list?.length);
}

/** The results whose answer turns, those that allow more ahead. */
export function turned(results: readonly SimulatedResult[]): SimulatedResult[] {
  return results
    .filter((one) => one.before.allowed !== one.after.allowed)
    .sort((a, b) => Number(b.after.allowed) - Number(a.after.allowed) || a.after.permission.localeCompare(b.after.permission));
}

/**
 * The change that a role being written would be. A role that is not there yet
 * has a made-up id; with `given` it is tried as if the person held it.
 */
export function roleChange(draft: Role, subject: Subject, given: boolean, madeUpId: string): SimulatedChange {
  const { id, name, description, grants, inherits } = draft;
  const role = { id: id || madeUpId, name: name || '–', description, grants, inherits: inherits ?? [] };
  const { subject_kind, subject_id } = subject;
  return given || !id ? { role, assign: [{ subject_kind, subject_id, role_id: role.id }] } : { role };
}

const most = 100;

/** Asks all questions before and after a change; the server takes so many at a time. */
export async function simulate(
  api: Api,
  change: SimulatedChange,
  questions: readonly SimulatedQuestion[],
  signal?: AbortSignal,
): Promise<SimulatedResult[]> {
  const results: SimulatedResult[] = [];
  for (let at = 0; at < questions.length; at += most) {
    const body = { change, questions: questions.slice(at, at + most) };
    const answer = await api.post<{ results: SimulatedResult[] }>('/permissions/simulate', body, signal ? { signal } : {});
    results.push(...answer.results);
  }
  return results;
}
