import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';

import { checklistPlace, checklistTitle } from './checklist-item';

const item = (key: string, link?: string) => ({ key, title: 'From the server', done: false, ...(link ? { link } : {}) });

test('what belongs to the tenant is done on its own pages, the rest in the active tenant', () => {
  deepEqual(checklistPlace(item('quotas'), 't1'), { link: '/tenants/t1/quotas', ofActiveTenant: false });
  deepEqual(checklistPlace(item('connection'), 't1'), { link: '/connections', ofActiveTenant: true });
});

test('an item of a newer server keeps its title, and its link only when it stays inside', () => {
  equal(checklistTitle(item('backup')), 'From the server');
  deepEqual(checklistPlace(item('backup', '/backups'), 't1'), { link: '/backups', ofActiveTenant: true });
  for (const bad of ['//evil', 'https://evil', '/\\evil', 'javascript:alert(1)', undefined]) {
    equal(checklistPlace(item('backup', bad), 't1'), null);
  }
});
