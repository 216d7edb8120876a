import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';

import { Tenant, tenantVerbs, verbPermission } from './tenant';

const tenant = (part: Partial<Tenant> = {}): Tenant => ({
  id: 't',
  name: 'Workshop',
  parent_id: 'root',
  is_root: false,
  description: '',
  contact_email: '',
  status: 'active',
  created_at: '',
  ...part,
});

test('only a deleted tenant can be purged or restored', () => {
  for (const status of ['creating', 'active', 'suspended', 'purging'] as const) {
    const can = tenantVerbs(tenant({ status }), 'other');
    ok(!can.includes('purge') && !can.includes('restore'), status);
  }
  deepEqual(tenantVerbs(tenant({ status: 'deleted' }), 'other'), ['export', 'restore', 'purge']);
});

test('the tenant somebody works in, and the root, are not taken away from under them', () => {
  deepEqual(tenantVerbs(tenant(), 't'), ['edit', 'add', 'export']);
  deepEqual(tenantVerbs(tenant({ is_root: true }), 'other'), ['edit', 'add', 'export']);
});

test('nothing is offered while a tenant is made or purged', () => {
  deepEqual(tenantVerbs(tenant({ status: 'creating' }), undefined), []);
  deepEqual(tenantVerbs(tenant({ status: 'purging' }), undefined), []);
});

test('each verb asks for the permission of its route', () => {
  equal(verbPermission('edit'), 'tenancy:tenant:update');
  equal(verbPermission('add'), 'tenancy:tenant:create');
  equal(verbPermission('resume'), 'tenancy:tenant:suspend');
  equal(verbPermission('purge'), 'tenancy:tenant:purge');
});
