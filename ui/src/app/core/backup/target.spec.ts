import assert from 'node:assert/strict';
import { test } from 'node:test';

import { TargetValues, fillTarget, targetBody, targetFaults, targetForm } from './target';

const values: TargetValues = {
  path: ' /srv/backups ', endpoint: 's3.example.org', bucket: 'nimbus', region: '', prefix: '', access_key: 'AK', ca_pem: '',
  host: 'nas', port: '2222', user: 'nimbus', host_key: 'SHA256:x', secret: ' with spaces ',
};

test('only what belongs to the kind is sent, and nothing that is empty', () => {
  assert.deepEqual(targetBody('directory', values), { kind: 'directory', path: '/srv/backups' });
  assert.deepEqual(targetBody('none', values), { kind: 'none' });
  assert.deepEqual(targetBody('s3', { ...values, secret: '' }), { kind: 's3', endpoint: 's3.example.org', bucket: 'nimbus', access_key: 'AK' });
});

test('a secret is sent as it was entered, and a port as a number', () => {
  const body = targetBody('sftp', values);
  assert.equal(body.secret, ' with spaces ');
  assert.equal(body.port, 2222);
});

test('a secret that is stored need not be entered again', () => {
  const empty = { ...values, secret: '' };
  assert.ok(targetFaults('s3', empty, false).secret);
  assert.deepEqual(targetFaults('s3', empty, true), {});
});

test('a port and a path that cannot be are named', () => {
  assert.ok(targetFaults('sftp', { ...values, port: '70000' }, true).port);
  assert.ok(targetFaults('directory', { ...values, path: 'backups' }, true).path);
  assert.deepEqual(targetFaults('none', { ...values, path: '' }, false), {});
});

test('a form is filled with what is kept, never with a secret', () => {
  const form = targetForm();
  fillTarget(form, { kind: 'sftp', host: 'nas', port: 0, secret: 'told by mistake' });
  const { host, port, secret } = form.getRawValue();
  assert.deepEqual([host, port, secret], ['nas', '', '']);
});
