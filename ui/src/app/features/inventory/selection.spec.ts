import { deepEqual } from 'node:assert/strict';
import { test } from 'node:test';

import { Item } from './item';
import { Selection, filtered, ordered, selected } from './selection';

const all: Selection = { tab: 'guest', q: '', type: '', status: '', node: '', connection: '', managed: false };
const item = (name: string, part: Partial<Item> = {}): Item => ({
  id: name,
  connection_id: 'home',
  kind: 'vm',
  key: `qemu/${name}`,
  name,
  node: 'pve1',
  status: 'running',
  managed: false,
  properties: {},
  collected_at: '',
  last_seen_at: '',
  stale: false,
  ...part,
});
const items = [
  item('web-10', { properties: { vmid: 110, cpu: 0.2, tags: ['prod'] } }),
  item('web-9', { properties: { vmid: 109, cpu: 0.9 }, managed: true }),
  item('dns', { kind: 'container', status: 'stopped', properties: { vmid: 101, cpu: 0.99, pool: 'core' } }),
  item('pve1', { kind: 'node', status: 'online' }),
  item('far', { connection_id: 'garage', node: 'g1' }),
];
const names = (list: readonly Item[]) => list.map((each) => each.name);

test('every word has to be in the name, key, VMID, tags or pool', () => {
  deepEqual(names(filtered(items, { ...all, q: 'WEB prod' })), ['web-10']);
  deepEqual(names(filtered(items, { ...all, q: '101' })), ['dns']);
  deepEqual(names(filtered(items, { ...all, q: 'core' })), ['dns']);
});

test('guests are VMs and containers, narrowed by kind, state, node and mark', () => {
  deepEqual(names(selected(items, all)), ['web-10', 'web-9', 'dns', 'far']);
  deepEqual(names(selected(items, { ...all, type: 'container' })), ['dns']);
  deepEqual(names(selected(items, { ...all, managed: true })), ['web-9']);
  deepEqual(names(filtered(items, { ...all, connection: 'garage' })), ['far']);
  deepEqual(names(selected(items, { ...all, tab: 'node' })), ['pve1']);
});

test('names are ordered as people count', () => {
  deepEqual(names(ordered(selected(items, all), 'name')), ['dns', 'far', 'web-9', 'web-10']);
});

test('a stopped guest uses no CPU, whatever was read last', () => {
  deepEqual(names(ordered(selected(items, all), '-cpu')), ['web-9', 'web-10', 'dns', 'far']);
});
