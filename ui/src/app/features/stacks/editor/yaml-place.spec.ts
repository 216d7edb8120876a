import { deepEqual } from 'node:assert/strict';
import { test } from 'node:test';

import { declaredConfig, keysUnder, placeAt } from './yaml-place';

const program = `name: web
config:
  cores: {type: integer}
  password:
    type: string
    secret: true
resources:
  vm:
    type: proxmoxve:index/vmLegacy:VmLegacy
    properties:
      cpu: {cores: 2, ty
      disks:
        - interface: scsi0
          si
      networkDevices:
      - bri
      na
    op
  po`.split('\n');

function at(text: string) {
  const line = program.findIndex((each) => each.trim() === text || each.endsWith(text));
  return placeAt(program, line, program[line]?.length ?? 0);
}

test('the place of a key follows the indentation', () => {
  deepEqual(at('na'), { path: ['resources', 'vm', 'properties'], key: null, typed: 'na' });
  deepEqual(at('op'), { path: ['resources', 'vm'], key: null, typed: 'op' });
  deepEqual(at('po'), { path: ['resources'], key: null, typed: 'po' });
});

test('a list item belongs to the list, wherever its dash stands', () => {
  deepEqual(at('si').path, ['resources', 'vm', 'properties', 'disks']);
  deepEqual(at('- bri').path, ['resources', 'vm', 'properties', 'networkDevices']);
});

test('a flow map is a place of its own', () => {
  deepEqual(at('2, ty'), { path: ['resources', 'vm', 'properties', 'cpu'], key: null, typed: 'ty' });
});

test('behind the colon a value is written', () => {
  const place = placeAt(['resources:', '  vm:', '    type: prox'], 2, 14);
  deepEqual(place, { path: ['resources', 'vm'], key: 'type', typed: 'prox' });
});

test('keysUnder lists only direct children', () => {
  deepEqual([...keysUnder(program, ['resources']).keys()], ['vm']);
  deepEqual(keysUnder(program, ['resources', 'vm']).get('type'), 'proxmoxve:index/vmLegacy:VmLegacy');
});

test('declaredConfig reads both ways of writing a type', () => {
  deepEqual([...declaredConfig(program.join('\n'))], [['cores', 'integer'], ['password', 'string']]);
});
