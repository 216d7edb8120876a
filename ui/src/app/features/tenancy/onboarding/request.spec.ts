import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';

import { Answers, onboardRequest } from './request';

const answers = (part: Partial<Answers> = {}): Answers => ({
  basics: { name: ' Acme ', parent_id: '', contact_email: ' ', description: '' },
  administrator: { way: 'later', name: '', email: '', password: '' },
  domains: [],
  sign_in: {
    kind: 'local',
    name: 'Okta',
    issuer: ' https://id.example.org ',
    client_id: 'nimbus',
    client_secret: ' s ',
    metadata: 'url',
    metadata_url: 'https://id.example.org/metadata',
    metadata_xml: '<left over/>',
    ca_pem: ' ',
    groups_claim: '',
    jit_users: true,
    jit_groups: false,
    link_by_email: 'never',
  },
  scim: { make: false, name: 'Okta', expires_in_days: 365 },
  ...part,
});

test('what was left out is not sent, so that the server decides', () => {
  deepEqual(onboardRequest(answers()), { name: 'Acme', domains: [] });
});

test('an administrator is invited or gets a password, never both', () => {
  const one = { name: 'Ada', email: 'ada@acme.example', password: 'left over from before' };
  deepEqual(onboardRequest(answers({ administrator: { ...one, way: 'invite' } }))['administrator'], {
    name: 'Ada',
    email: 'ada@acme.example',
    invite: true,
  });
  const set = onboardRequest(answers({ administrator: { ...one, way: 'password' } }))['administrator'];
  deepEqual(set, one);
});

test('only the chosen protocol is sent, and a secret keeps its spaces', () => {
  const base = answers().sign_in;
  const oidc = onboardRequest(answers({ sign_in: { ...base, kind: 'oidc' } }))['sign_in'] as Record<string, unknown>;
  deepEqual(oidc['oidc'], { issuer: 'https://id.example.org', client_id: 'nimbus', client_secret: ' s ' });
  ok(!('saml' in oidc));
  equal(oidc['enabled'], true);
  const saml = onboardRequest(answers({ sign_in: { ...base, kind: 'saml' } }))['sign_in'] as Record<string, unknown>;
  deepEqual(saml['saml'], { metadata_url: 'https://id.example.org/metadata' });
  ok(!('oidc' in saml));
});

test('an authority goes with the addresses that are read, and only when there is one', () => {
  const base = { ...answers().sign_in, ca_pem: ' pem ' };
  const sent = (part: Partial<Answers['sign_in']>) =>
    onboardRequest(answers({ sign_in: { ...base, ...part } }))['sign_in'] as Record<string, Record<string, unknown>>;
  equal(sent({ kind: 'oidc' })['oidc']?.['ca_pem'], 'pem');
  equal(sent({ kind: 'saml' })['saml']?.['ca_pem'], 'pem');
  ok(!('ca_pem' in (sent({ kind: 'saml', metadata: 'xml' })['saml'] ?? {})));
});

test('domains are plain and each stands once', () => {
  deepEqual(onboardRequest(answers({ domains: ['Acme.example', 'acme.example', 'b.example'] }))['domains'], [
    'acme.example',
    'b.example',
  ]);
});

test('a token is asked for only when it was wanted', () => {
  const scim = { make: true, name: ' Entra ', expires_in_days: 90 };
  deepEqual(onboardRequest(answers({ scim }))['scim_token'], { name: 'Entra', expires_in_days: 90 });
});
