import assert from 'node:assert/strict';
import { test } from 'node:test';

import { choicesOf, covers } from './event-catalogue';

const type = (code: string) => ({ code, category: 'x', priority: 'info', description: `about ${code}` });

test('prefixes stand before what lies below them, each once', () => {
  const choices = choicesOf([type('identity.user.deleted'), type('identity.user.created'), type('backup.run.done')]);
  assert.deepEqual(
    choices.map((one) => one.value),
    ['backup', 'backup.run', 'backup.run.done', 'identity', 'identity.user', 'identity.user.created', 'identity.user.deleted'],
  );
  assert.equal(choices.at(-1)?.label, 'about identity.user.deleted');
});

test('a prefix covers whole words only', () => {
  assert.ok(covers('identity.user', 'identity.user.created'));
  assert.ok(covers('identity.user.created', 'identity.user.created'));
  assert.ok(!covers('identity.use', 'identity.user.created'));
  assert.ok(!covers('identity.user.created', 'identity.user'));
});
