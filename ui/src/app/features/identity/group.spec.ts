import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';

import { Member, memberRows } from './group';

const user = (id: string): Member => ({ kind: 'user', id, name: id });
const group = (id: string): Member => ({ kind: 'group', id, name: id });
const drawn = (...asked: Parameters<typeof memberRows>) =>
  memberRows(...asked).map((row) => '.'.repeat(row.depth) + row.member.id);

test('a closed group is one line', () => {
  deepEqual(drawn([user('ada'), group('ops')], new Map([['ops', [user('bo')]]]), new Set()), ['ada', 'ops']);
});

test('an open group shows its members, those of a group in it only when that is open too', () => {
  const known = new Map([
    ['ops', [user('bo'), group('night')]],
    ['night', [user('cy')]],
  ]);
  deepEqual(drawn([group('ops')], known, new Set(['ops'])), ['ops', '.bo', '.night']);
  deepEqual(drawn([group('ops')], known, new Set(['ops', 'ops/night'])), ['ops', '.bo', '.night', '..cy']);
});

test('the same group in two places opens in the one that was clicked', () => {
  const known = new Map([['shared', [user('bo')]], ['ops', [group('shared')]]]);
  const rows = memberRows([group('shared'), group('ops')], known, new Set(['ops', 'ops/shared']));
  deepEqual(rows.map((row) => [row.key, row.open]), [
    ['shared', false],
    ['ops', true],
    ['ops/shared', true],
    ['ops/shared/bo', false],
  ]);
});

test('members that are on their way are said to be so', () => {
  const [row] = memberRows([group('ops')], new Map(), new Set(['ops']));
  equal(row?.loading, true);
});

test('a loop in the answer ends', () => {
  const known = new Map([['a', [group('b')]], ['b', [group('a')]]]);
  const open = new Set(['a', 'a/b', 'a/b/a', 'a/b/a/b']);
  deepEqual(drawn([group('a')], known, open), ['a', '.b', '..a']);
});
