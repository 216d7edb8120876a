import { ChangeDetectionStrategy, Component, inject, signal } from '@angular/core';
import { Title } from '@angular/platform-browser';
import { ActivatedRoute, Router, RouterLink } from '@angular/router';

import { Api } from '@core/api/api';
import { action } from '@core/feedback/action';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Field, FieldInput } from '@core/form/field';
import { submit } from '@core/form/submit';
import { SecondFactor, Session } from '@core/session/session';
import { passkeysWork } from '@core/webauthn/passkey';

import { EntryFrame } from './entry-frame';
import { newPasswordForm } from './new-password';
import { NewPasswordFields } from './new-password-fields';
import { SecondFactorStep } from './second-factor-step';
import { Step, fragmentToken, secondStep } from './sign-in-steps';
import { takeToken } from './take-token';

/** What an invitation is for. */
interface Invited {
  tenant: string;
  name: string;
  email: string;
  /** There is no account yet, so a password is chosen. */
  needs_password: boolean;
}

/** Where the link of an invitation leads: who invites, and a password to come in with. */
@Component({
  selector: 'nb-invitation-page',
  imports: [EntryFrame, Field, FieldInput, NewPasswordFields, ProblemNotice, RouterLink, SecondFactorStep],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './invitation-page.html',
})
export class InvitationPage {
  private readonly api = inject(Api);
  private readonly router = inject(Router);
  private readonly session = inject(Session);
  private readonly token = takeToken(fragmentToken(inject(ActivatedRoute).snapshot.fragment));
  protected readonly invited = signal<Invited | null>(null);
  protected readonly step = signal<Extract<Step, { name: 'second' }> | null>(null);
  protected readonly own = signal('');
  protected readonly reading = action();
  protected readonly form = newPasswordForm();
  protected readonly sending = submit(this.form);

  constructor() {
    inject(Title).setTitle($localize`Invitation · Nimbus`);
    if (this.token) void this.read();
  }

  protected readonly hasToken = this.token !== '';

  protected async read(): Promise<void> {
    await this.reading.run(async () =>
      this.invited.set(await this.api.post<Invited>('/invitations/inspect', { token: this.token }, { keepSession: true })),
    );
  }

  protected async accept(event: Event): Promise<void> {
    event.preventDefault();
    const fresh = this.invited()?.needs_password;
    if (fresh && !this.sending.ready()) return;
    const password = fresh ? this.form.getRawValue().password : this.own();
    const body = password ? { token: this.token, password } : { token: this.token };
    await this.sending.run(async () => this.next(await this.session.begin('/invitations/accept', body)));
  }

  protected async prove(proof: object): Promise<void> {
    const token = this.step()?.second.token;
    await this.sending.run(async () => this.next(await this.session.begin('/session/second-factor', { token, ...proof })));
  }

  protected toSignIn(): void {
    void this.router.navigateByUrl('/sign-in');
  }

  private next(second: SecondFactor | null): void {
    if (!second) return void this.router.navigateByUrl('/');
    const step = secondStep(second, passkeysWork());
    if (step.name === 'second') this.step.set(step);
  }
}
