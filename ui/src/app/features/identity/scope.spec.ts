import { deepEqual, equal, match } from 'node:assert/strict';
import { test } from 'node:test';

import { scopeProblem, scopesOf } from './scope';

test('permission patterns fit, with wildcards, dashes and a subtype', () => {
  for (const good of ['deployment:stack:read', '*:*:read', 'identity:service-account:*', 'cmdb:ci:create:virtualmachine']) {
    equal(scopeProblem(good, []), null, good);
  }
});

test('what is none is refused in words', () => {
  for (const bad of ['deployment', 'a:b', 'A:b:c', 'a:b:c:d:e', 'a::c', '*', '!a:b:c']) {
    match(scopeProblem(bad, []) ?? '', /domain:resource:action/, bad);
  }
  match(scopeProblem(' ', []) ?? '', /Fill/);
  match(scopeProblem('a:b:c', ['a:b:c']) ?? '', /already/);
});

test('everything is no scope at all; chosen ones never become everything by accident', () => {
  deepEqual(scopesOf('all', ['a:b:c']), []);
  deepEqual(scopesOf('read', ['a:b:c']), ['*:*:read']);
  deepEqual(scopesOf('chosen', ['a:b:c']), ['a:b:c']);
});
