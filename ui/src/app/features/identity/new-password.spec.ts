import assert from 'node:assert/strict';
import { test } from 'node:test';

import { newPasswordForm } from './new-password';

test('a password must be typed the same twice', () => {
  const form = newPasswordForm();
  form.setValue({ password: 'correct horse', again: 'correct house' });
  assert.equal(form.valid, false);
  form.setValue({ password: 'correct horse', again: 'correct horse' });
  assert.equal(form.valid, true);
});

test('short ones are refused before they are sent', () => {
  const form = newPasswordForm();
  form.setValue({ password: 'short', again: 'short' });
  assert.equal(form.controls.password.valid, false);
});

test('a repetition is judged anew when the password changes after it', () => {
  const form = newPasswordForm();
  form.setValue({ password: 'correct horse', again: 'correct horse' });
  form.controls.password.setValue('another horse');
  assert.equal(form.controls.again.valid, false);
});
