import assert from 'node:assert/strict';
import { test } from 'node:test';

import { addresses, formOf, goesElsewhere, placeOf, uses, whereOf, written } from './place';

test('a place has only the settings of its kind', () => {
  const form = { ...formOf({}), path: '/mnt/usb', url: 'https://left.over', address: 'x:1' };
  assert.deepEqual(placeOf('file', true, form), { kind: 'file', enabled: true, path: '/mnt/usb' });
});

test('a secret is sent when it was entered, and never comes back into the form', () => {
  const form = { ...formOf({ kind: 'webhook', url: 'https://a.example', has_secret: true }) };
  assert.equal(form.secret, '');
  assert.ok(!('secret' in placeOf('webhook', true, form, '1')));
  assert.equal(placeOf('webhook', true, { ...form, secret: ' s ' }).secret, ' s ');
});

test('addresses are split however they were separated, each once', () => {
  assert.deepEqual(addresses('a@x.org, b@x.org\n\na@x.org; c@x.org'), ['a@x.org', 'b@x.org', 'c@x.org']);
  assert.deepEqual(placeOf('email', true, { ...formOf({}), to: 'a@x.org b@x.org' }).to, ['a@x.org', 'b@x.org']);
});

test('what must be filled in is told from what may be', () => {
  assert.equal(uses('syslog', 'address'), 'must');
  assert.equal(uses('syslog', 'ca_pem'), 'may');
  assert.equal(uses('syslog', 'url'), 'no');
});

test('a form and its place are the same again', () => {
  const place = { id: '7', kind: 'syslog' as const, enabled: false, address: 'logs:6514', transport: 'tcp', format: 'cef', ca_pem: '' };
  assert.deepEqual(placeOf('syslog', false, formOf(place), '7'), place);
});

test('a secret belongs to its address', () => {
  const before = { kind: 'webhook' as const, enabled: true, url: 'https://a.example', has_secret: true };
  assert.ok(goesElsewhere(before, { ...formOf(before), url: 'https://b.example' }));
  assert.ok(!goesElsewhere(before, formOf(before)));
  assert.ok(!goesElsewhere({ ...before, has_secret: false }, { ...formOf(before), url: 'https://b.example' }));
});

test('places are sent with all that the server asks for', () => {
  const [old, fresh] = written([{ id: '7', kind: 'file', enabled: true, has_secret: false }, { kind: 'file', enabled: true }]);
  assert.equal(old?.id, '7');
  assert.match(fresh?.id ?? '', /^[0-]+$/);
  assert.equal(fresh?.has_secret, false);
});

test('a place says where it is', () => {
  assert.equal(whereOf({ kind: 'syslog', enabled: true, address: 'logs:6514', transport: 'tls' }), 'logs:6514 (TLS)');
  assert.equal(whereOf({ kind: 'object', enabled: true, endpoint: 'https://s3', bucket: 'b', prefix: 'p/' }), 'https://s3 / b / p/');
});
