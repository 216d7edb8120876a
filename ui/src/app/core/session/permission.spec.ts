import assert from 'node:assert/strict';
import { test } from 'node:test';

import { allows } from './permission';

const cases: [name: string, held: string[], asked: string, want: boolean][] = [
  ['nothing held is no', [], 'deployment:stack:read', false],
  ['the exact permission', ['deployment:stack:read'], 'deployment:stack:read', true],
  ['another action', ['deployment:stack:read'], 'deployment:stack:update', false],
  ['wildcards', ['*:*:*'], 'audit:record:read', true],
  ['generic covers a subtype', ['cmdb:ci:create'], 'cmdb:ci:create:virtualmachine', true],
  ['a subtype does not cover the generic', ['cmdb:ci:create:virtualmachine'], 'cmdb:ci:create', false],
  ['the more specific denial wins', ['deployment:*:*', '!deployment:stack:approve'], 'deployment:stack:approve', false],
  ['and leaves the rest', ['deployment:*:*', '!deployment:stack:approve'], 'deployment:stack:read', true],
  ['the more specific allowance wins', ['!deployment:*:*', 'deployment:stack:read'], 'deployment:stack:read', true],
  ['denial wins a tie', ['a:b:c', '!a:b:c'], 'a:b:c', false],
  ['denial wins a tie in any order', ['!a:b:c', 'a:b:c'], 'a:b:c', false],
  ['an earlier literal outweighs a later one', ['a:*:*', '!*:*:c'], 'a:b:c', true],
];

for (const [name, held, asked, want] of cases) {
  test(name, () => assert.equal(allows(held, asked), want));
}
