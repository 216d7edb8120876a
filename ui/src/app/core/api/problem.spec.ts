import assert from 'node:assert/strict';
import { test } from 'node:test';

import { problemOf } from './problem';

function answer(status: number, body: string, headers: Record<string, string> = {}): Response {
  return new Response(body, { status, headers: { 'Content-Type': 'application/problem+json', ...headers } });
}

test('a problem document is read with its fields', async () => {
  const body = {
    detail: 'Choose another name.',
    code: 'conflict',
    request_id: 'r1',
    errors: [{ location: 'body.name', message: 'Already taken' }],
  };
  const problem = await problemOf(answer(409, JSON.stringify(body)));
  assert.equal(problem.message, 'Choose another name.');
  assert.equal(problem.code, 'conflict');
  assert.equal(problem.requestId, 'r1');
  assert.equal(problem.field('name'), 'Already taken');
  assert.equal(problem.field('email'), null);
  assert.equal(problem.permission, null);
});

test('a refusal says which permission it needed', async () => {
  const body = { detail: 'You may not do this.', code: 'forbidden', permission: 'cmdb:ci:create' };
  assert.equal((await problemOf(answer(403, JSON.stringify(body)))).permission, 'cmdb:ci:create');
});

test('a proxy in between that answers HTML still gives a sentence', async () => {
  const problem = await problemOf(answer(502, '<html>', { 'Content-Type': 'text/html' }));
  assert.equal(problem.code, 'unavailable');
  assert.match(problem.message, /try again/);
});

test('a broken document is not an exception', async () => {
  assert.equal((await problemOf(answer(500, '{'))).code, 'internal');
});

test('Retry-After is told in seconds', async () => {
  assert.equal((await problemOf(answer(429, '{}', { 'Retry-After': '30' }))).retryAfter, 30);
  assert.equal((await problemOf(answer(429, '{}'))).retryAfter, null);
});
