import { equal, ok } from 'node:assert/strict';
import { test } from 'node:test';

import { bodyOf, differs, draftOf } from './draft';
import { Stack } from './stack';

const stack = (compartment_id?: string): Stack => ({
  id: '1', name: 'web', description: '', connection_id: 'c', compartment_id, program: 'name: web', config: {}, status: 'empty',
  outputs: {}, resource_count: 0, last_deployment_id: null, version: 3, created_at: '', updated_at: '',
});

test('a stack keeps its compartment when something else is saved', () => {
  equal(bodyOf({ ...draftOf(stack('lab')), name: 'other' }, stack('lab'))['compartment_id'], 'lab');
});

test('choosing another compartment, or none, is a change', () => {
  ok(!differs(draftOf(stack('lab')), stack('lab')));
  ok(differs({ ...draftOf(stack('lab')), compartment_id: '' }, stack('lab')));
  ok(!('compartment_id' in bodyOf({ ...draftOf(stack('lab')), compartment_id: '' }, stack('lab'))));
  ok(!differs(draftOf(stack()), stack()));
});
