import assert from 'node:assert/strict';
import { test } from 'node:test';

import { segmentAddress, segmentTone, segmentWord, targetBody } from './archive';

const form = {
  path: ' /srv/archive ', endpoint: 's3.example.org', bucket: 'audit', region: '', prefix: 'nimbus/', access_key: 'AK', secret: '', ca_pem: '',
};

test('only what belongs to the kind is sent', () => {
  assert.deepEqual(targetBody('none', form), { kind: 'none' });
  assert.deepEqual(targetBody('directory', form), { kind: 'directory', path: '/srv/archive' });
  assert.deepEqual(targetBody('directory', { ...form, path: '' }), { kind: 'directory' });
});

test('a secret that was not entered is left as it is', () => {
  const body = { kind: 's3', endpoint: 's3.example.org', bucket: 'audit', region: '', prefix: 'nimbus/', access_key: 'AK', ca_pem: '' };
  assert.deepEqual(targetBody('s3', form), body);
  assert.deepEqual(targetBody('s3', { ...form, secret: ' s ' }), { ...body, secret: ' s ' });
});

test('states are words, unknown ones as they are named', () => {
  assert.notEqual(segmentWord('pruned'), 'pruned');
  assert.equal(segmentWord('frozen'), 'frozen');
  assert.equal(segmentTone('written'), 'busy');
  assert.equal(segmentTone('damaged'), 'bad');
});

test('an identifier cannot leave its place in the address', () => {
  assert.equal(segmentAddress('../x'), '/v1/audit/archive/segments/..%2Fx/content');
});
