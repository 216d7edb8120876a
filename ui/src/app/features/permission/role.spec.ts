import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Role, inheritable, inheritedGrants } from './role';

const role = (id: string, ...inherits: string[]): Role => ({
  id, name: id.toUpperCase(), description: '', system: false, inherits, grants: [{ permission: `${id}:x:y`, effect: 'allow' }],
});
const roles = [role('a', 'b'), role('b', 'c'), role('c'), role('d', 'c')];

test('grants are inherited all the way, each once, with the role they are written in', () => {
  const got = inheritedGrants(['b', 'd'], roles).map((grant) => `${grant.role} ${grant.permission}`);
  assert.deepEqual(got, ['B b:x:y', 'C c:x:y', 'D d:x:y']);
});

test('a loop does not hang', () => {
  assert.equal(inheritedGrants(['p'], [role('p', 'q'), role('q', 'p')]).length, 2);
});

test('a role is not offered what would make a loop', () => {
  const offered = (id: string | null) => inheritable(id, roles).map((one) => one.id);
  assert.deepEqual(offered('c'), []);
  assert.deepEqual(offered('b'), ['c', 'd']);
  assert.deepEqual(offered(null), ['a', 'b', 'c', 'd']);
});
