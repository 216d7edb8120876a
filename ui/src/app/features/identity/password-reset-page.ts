import { ChangeDetectionStrategy, Component, inject, signal } from '@angular/core';
import { Title } from '@angular/platform-browser';
import { ActivatedRoute, RouterLink } from '@angular/router';

import { Api } from '@core/api/api';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { submit } from '@core/form/submit';
import { Icon } from '@core/icon/icon';

import { EntryFrame } from './entry-frame';
import { newPasswordForm } from './new-password';
import { NewPasswordFields } from './new-password-fields';
import { fragmentToken } from './sign-in-steps';
import { takeToken } from './take-token';

/** Where the link of a password reset leads. */
@Component({
  selector: 'nb-password-reset-page',
  imports: [EntryFrame, Icon, NewPasswordFields, ProblemNotice, RouterLink],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './password-reset-page.html',
})
export class PasswordResetPage {
  private readonly api = inject(Api);
  private readonly token = takeToken(fragmentToken(inject(ActivatedRoute).snapshot.fragment));
  protected readonly hasToken = this.token !== '';
  protected readonly done = signal(false);
  protected readonly form = newPasswordForm();
  protected readonly sending = submit(this.form);

  constructor() {
    inject(Title).setTitle($localize`New password · Nimbus`);
  }

  protected async send(event: Event): Promise<void> {
    event.preventDefault();
    if (!this.sending.ready()) return;
    const { password } = this.form.getRawValue();
    const body = { token: this.token, password };
    if (await this.sending.run(() => this.api.post('/password-reset', body, { keepSession: true }))) this.done.set(true);
  }
}
