import assert from 'node:assert/strict';
import { test } from 'node:test';

import { convertToParamMap } from '@angular/router';

import { countOf, filterFrom, filterOf, noFilter, paramsOf, queryOf } from './filter';

test('a filter survives the way through the address', () => {
  const filter = {
    ...noFilter(),
    q: '"web cluster" -dns',
    event: ['identity', 'deployment.stack.updated'],
    priority: 'warning',
    outcome: 'denied',
    actor: 'ada',
    on_behalf_of: 'olga',
    target_kind: 'stack',
    from: '2026-11-24T08:00:00.000Z',
    to: '2026-11-25T08:00:00.000Z',
  };
  assert.deepEqual(filterOf(convertToParamMap(paramsOf(filter))), filter);
  assert.equal(countOf(filter), 9);
});

test('an empty filter has an empty address and query', () => {
  assert.deepEqual(paramsOf(noFilter()), {});
  assert.deepEqual(queryOf(noFilter(), 0), {});
  assert.equal(countOf(noFilter()), 0);
});

test('what an address says wrongly is left out', () => {
  const filter = filterOf(convertToParamMap({ from: 'yesterday', last: '5y', priority: 'loud', outcome: 'maybe', event: ['a', 'a', ' '] }));
  assert.deepEqual(filter, { ...noFilter(), event: ['a'] });
});

test('a preset counts back from now and comes before a range', () => {
  const filter = filterOf(convertToParamMap({ last: '24h', from: '2020-01-01T00:00:00Z' }));
  assert.equal(filter.from, '');
  const now = Date.parse('2026-11-25T08:00:00Z');
  assert.deepEqual(queryOf(filter, now), { from: '2026-11-24T08:00:00.000Z' });
});

test('a saved query is read, whatever else it holds', () => {
  const filter = filterFrom({ event: 'identity', outcome: 'denied', limit: 5, q: null });
  assert.deepEqual(filter, { ...noFilter(), event: ['identity'], outcome: 'denied' });
});
