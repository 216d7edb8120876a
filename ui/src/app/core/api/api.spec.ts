import assert from 'node:assert/strict';
import { afterEach, mock, test } from 'node:test';

import { Api, queryString } from './api';
import { Problem } from './problem';

afterEach(() => mock.restoreAll());

function answers(...responses: Response[]) {
  return mock.method(globalThis, 'fetch', () => Promise.resolve(responses.shift() as Response));
}

function refusal(status: number, code: string): Response {
  return Response.json({ code, detail: code }, { status });
}

test('a step-up asks once and repeats the request under the same idempotency key', async () => {
  const fetched = answers(refusal(403, 'step_up_required'), Response.json({ id: '1' }, { status: 201 }));
  const api = new Api();
  api.stepUp = () => Promise.resolve(true);
  assert.deepEqual(await api.post('/deployments', {}), { id: '1' });
  const keys = fetched.mock.calls.map((call) => {
    const init = (call.arguments as unknown as [string, RequestInit])[1];
    return (init.headers as Record<string, string>)['Idempotency-Key'];
  });
  assert.equal(keys.length, 2);
  assert.match(keys[0] ?? '', /^[0-9a-f]{32}$/);
  assert.equal(keys[0], keys[1]);
});

test('a step-up that was cancelled rejects with the problem', async () => {
  answers(refusal(403, 'step_up_required'));
  await assert.rejects(new Api().post('/deployments', {}), { code: 'step_up_required' });
});

test('an ended session is told, a wrong password is not', async () => {
  answers(refusal(401, 'unauthenticated'), refusal(401, 'unauthenticated'));
  const api = new Api();
  let ended = 0;
  api.signedOut = () => ended++;
  await assert.rejects(api.post('/session/reauthenticate', {}, { keepSession: true }), Problem);
  assert.equal(ended, 0);
  await assert.rejects(api.get('/users'), Problem);
  assert.equal(ended, 1);
});

test('no answer is a problem, an abort is not', async () => {
  const api = new Api();
  mock.method(globalThis, 'fetch', () => Promise.reject(new TypeError('fetch failed')));
  await assert.rejects(api.get('/users'), { code: 'offline' });
  mock.restoreAll();
  mock.method(globalThis, 'fetch', () => Promise.reject(new DOMException('', 'AbortError')));
  await assert.rejects(api.get('/users'), { name: 'AbortError' });
});

test('empty filters are left out of the address', () => {
  assert.equal(queryString({ q: '', actor: 'Ada & Co', cursor: null, limit: 50 }), '?actor=Ada+%26+Co&limit=50');
  assert.equal(queryString(), '');
});

test('a list repeats its name in the address', () => {
  assert.equal(queryString({ event: ['identity', 'tenancy.tenant'], q: 'x' }), '?event=identity&event=tenancy.tenant&q=x');
  assert.equal(queryString({ event: [] }), '');
});
