import assert from 'node:assert/strict';
import { test } from 'node:test';

import { MailForm, mailBody, portFor } from './mail-settings';

const form: MailForm = {
  host: ' mail.example.org ', port: 587, security: 'starttls', username: 'nimbus', password: '', forget_password: false,
  from_address: 'nimbus@example.org', from_name: '',
};

test('the port follows the protection until somebody chose another', () => {
  assert.equal(portFor('tls', 587), 465);
  assert.equal(portFor('none', 0), 25);
  assert.equal(portFor('tls', 2525), 2525);
});

test('an empty password keeps the stored one', () => {
  assert.ok(!('password' in mailBody(form)));
  assert.deepEqual(mailBody({ ...form, password: 'new' }), { ...mailBody(form), password: 'new' });
});

test('a password is taken away with the name or on demand', () => {
  assert.equal((mailBody({ ...form, username: ' ', password: 'left' }) as { password: string }).password, '');
  assert.equal((mailBody({ ...form, forget_password: true }) as { password: string }).password, '');
});

test('what is sent has no spaces around it and nothing of the form only', () => {
  assert.equal((mailBody(form) as { host: string }).host, 'mail.example.org');
  assert.ok(!('forget_password' in mailBody(form)));
});
