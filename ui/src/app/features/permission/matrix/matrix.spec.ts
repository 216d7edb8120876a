import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Known, matrixOf, shownRows } from './matrix';

function known(...permissions: string[]): Known[] {
  return permissions.map((permission) => {
    const [domain = '', resource = '', action = ''] = permission.split(':');
    return { permission, summary: `Do ${permission}`, domain, resource, action };
  });
}

const catalogue = known(
  'deployment:stack:update', 'deployment:stack:read', 'deployment:stack:approve', 'audit:record:read',
  'tenancy:tenant:read', 'tenancy:tenant:move', 'tenancy:domain:delete',
);

test('everything stands first, then each domain with its resources', () => {
  const lines = matrixOf(catalogue).rows.map((row) => `${row.kind} ${row.label}`);
  assert.deepEqual(lines, [
    'all *', 'domain audit', 'resource record', 'domain deployment', 'resource stack', 'domain tenancy', 'resource domain', 'resource tenant',
  ]);
});

test('usual actions have columns in their order, rare ones stand at the end of their line', () => {
  const { columns, rows } = matrixOf(catalogue);
  assert.deepEqual(columns, ['read', 'update', 'delete']);
  const stack = rows.find((row) => row.label === 'stack');
  assert.deepEqual(stack?.cells.map((cell) => [cell.pattern, cell.exists]), [
    ['deployment:stack:*', true], ['deployment:stack:read', true], ['deployment:stack:update', true], ['deployment:stack:delete', false],
  ]);
  assert.deepEqual(stack?.others.map((cell) => [cell.pattern, cell.summary]), [['deployment:stack:approve', 'Do deployment:stack:approve']]);
});

test('an action of many resources gets a column', () => {
  const many = known(...['a', 'b', 'c', 'd'].map((resource) => `x:${resource}:test`), 'x:a:read');
  assert.deepEqual(matrixOf(many).columns, ['read', 'test']);
});

test('wildcard lines write wildcard patterns', () => {
  const [all, audit] = matrixOf(catalogue).rows;
  assert.equal(all?.cells[0]?.pattern, '*:*:*');
  assert.equal(audit?.cells[1]?.pattern, 'audit:*:read');
  assert.deepEqual(audit?.permissions, ['audit:record:read']);
});

test('closed domains keep their head, a search opens what it finds', () => {
  const { rows } = matrixOf(catalogue);
  const labels = (closed: string[], search = '') => shownRows(rows, new Set(closed), search).map((row) => row.label);
  assert.deepEqual(labels(['tenancy', 'audit']), ['*', 'audit', 'deployment', 'stack', 'tenancy']);
  assert.deepEqual(labels(['tenancy'], 'tenant:MOVE '), ['tenancy', 'tenant']);
  assert.deepEqual(labels([], 'nothing'), []);
});
