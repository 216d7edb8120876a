import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Sink, formOf, goesElsewhere, names, protocolOf, sinkBody, stateTone, stateWord, whereOf } from './sink';

const none = { categories: new Set<string>(), outcomes: new Set<string>() };
const sink: Sink = {
  id: '1', name: 'Logs', kind: 'syslog', enabled: true, filter: { events: ['identity'], categories: [], min_priority: 'notice', outcomes: ['denied'] },
  batch_size: 50, format: 'cef', url: '', address: 'logs.example.org:6514', transport: 'tls', ca_pem: 'CA', client_cert_pem: 'CERT',
  has_secret: false, has_client_key: true, cursor: 4, health: { state: 'ok', last_success: null, last_error: '', lag: 0, sent: 4, dead: 0 },
};

test('a webhook sends nothing of syslog, and no secret that was not entered', () => {
  const form = { ...formOf(null), name: ' Hook ', url: ' https://siem.example.org ', address: 'left:1' };
  assert.deepEqual(sinkBody('webhook', form, none), {
    name: 'Hook', batch_size: 100, format: 'json', url: 'https://siem.example.org', ca_pem: '',
    filter: { events: [], categories: [], min_priority: '', outcomes: [] },
  });
  assert.equal((sinkBody('webhook', { ...form, secret: 's' }, none) as { secret: string }).secret, 's');
});

test('certificates belong to TLS; without one the key goes too', () => {
  const form = formOf(sink);
  const { ca_pem, client_cert_pem, client_key_pem } = sinkBody('syslog', { ...form, transport: 'udp' }, none) as Record<string, unknown>;
  assert.deepEqual([ca_pem, client_cert_pem, client_key_pem], ['', '', '']);
  assert.ok(!('client_key_pem' in sinkBody('syslog', form, none)));
  assert.equal((sinkBody('syslog', { ...form, client_cert_pem: ' ' }, none) as { client_key_pem: string }).client_key_pem, '');
});

test('the form of a sink describes the sink', () => {
  const body = sinkBody('syslog', formOf(sink), { categories: new Set(), outcomes: new Set(['denied']) }) as Sink;
  const { name, batch_size, format, address, transport, ca_pem, client_cert_pem, filter } = sink;
  assert.deepEqual(body, { name, batch_size, format, address, transport, ca_pem, client_cert_pem, filter });
});

test('another address wants the secrets again, another name does not', () => {
  assert.ok(goesElsewhere(sink, { ...formOf(sink), address: 'other:6514' }));
  assert.ok(goesElsewhere(sink, { ...formOf(sink), ca_pem: '' }));
  assert.ok(!goesElsewhere(sink, { ...formOf(sink), name: 'x', batch_size: 1 }));
});

test('events are split however they were separated', () => {
  assert.deepEqual(names('identity, audit\nidentity'), ['identity', 'audit']);
});

test('places, protocols and states are words', () => {
  assert.equal(whereOf(sink), 'logs.example.org:6514 (TLS)');
  assert.match(protocolOf(sink), /CEF/);
  assert.notEqual(stateWord('dead'), 'dead');
  assert.equal(stateWord('odd'), 'odd');
  assert.equal(stateTone('retrying'), 'warn');
});
