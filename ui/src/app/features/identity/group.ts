import { Source } from './user';

/** A group of the active tenant. */
export interface Group {
  id: string;
  name: string;
  description: string;
  source: Source;
  member_count: number;
  created_at: string;
}

/** What can be in a group. */
export type MemberKind = 'user' | 'group' | 'service_account';

/** One member of a group. */
export interface Member {
  kind: MemberKind;
  id: string;
  name: string;
  email?: string;
}

/** One line of a group's members with those of the groups in it. */
export interface MemberRow {
  member: Member;
  depth: number;
  /** Names the line: the groups on the way and the member. */
  key: string;
  open: boolean;
  /** The members of this group are on their way. */
  loading: boolean;
}

/**
 * The members of a group, and under each open group its own. `known` holds the
 * members that were read, by group. A group that is its own ancestor is not
 * opened again, whatever the server says.
 */
export function memberRows(
  members: readonly Member[],
  known: ReadonlyMap<string, readonly Member[]>,
  open: ReadonlySet<string>,
  way: readonly string[] = [],
): MemberRow[] {
  return members.flatMap((member) => {
    const key = [...way, member.id].join('/');
    const isOpen = member.kind === 'group' && open.has(key) && !way.includes(member.id);
    const below = isOpen ? known.get(member.id) : undefined;
    return [
      { member, depth: way.length, key, open: isOpen, loading: isOpen && !below },
      ...memberRows(below ?? [], known, open, [...way, member.id]),
    ];
  });
}
