import { ChangeDetectionStrategy, Component, afterNextRender, computed, effect, inject, input, signal } from '@angular/core';
import { Title } from '@angular/platform-browser';
import { ActivatedRoute, Router } from '@angular/router';

import { Api } from '@core/api/api';
import { asProblem } from '@core/api/problem';
import { action } from '@core/feedback/action';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Icon } from '@core/icon/icon';
import { safeReturn } from '@core/session/guards';
import { SecondFactor, Session } from '@core/session/session';
import { passkeysWork, usePasskey } from '@core/webauthn/passkey';

import { EntryFrame } from './entry-frame';
import { SecondFactorStep } from './second-factor-step';
import { SignInChoose } from './sign-in-choose';
import { SignInEmail } from './sign-in-email';
import { Discovery, ProviderChoice, Step, chosen, fragmentToken, secondStep, signInError, startAddress, withoutDiscovery } from './sign-in-steps';

/** The page that asks who you are, step by step. */
@Component({
  selector: 'nb-sign-in',
  imports: [EntryFrame, Icon, ProblemNotice, SecondFactorStep, SignInChoose, SignInEmail],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './sign-in.html',
})
export class SignIn {
  private readonly api = inject(Api);
  private readonly router = inject(Router);
  protected readonly session = inject(Session);

  /** Where to go afterwards, from the address. */
  readonly return = input<string>();
  /** The same, in the words of a provider's redirect. */
  readonly return_to = input<string>();
  /** Set when the server did not answer the question who is signed in. */
  readonly unreachable = input<string>();
  /** What went wrong at a provider, from the address. */
  readonly error = input<string>();

  protected readonly step = signal<Step>({ name: 'email' });
  protected readonly email = signal('');
  protected readonly going = action();
  protected readonly passkeys = passkeysWork();
  protected readonly failure = computed(() => signInError(this.error()));

  constructor() {
    inject(Title).setTitle($localize`Sign in · Nimbus`);
    const token = fragmentToken(inject(ActivatedRoute).snapshot.fragment, 'second_factor');
    if (token) afterNextRender(() => void this.resume(token));
    effect(() => {
      if (this.session.signedIn()) void this.router.navigateByUrl(this.target());
    });
  }

  /** Asks how this address signs in; a server that cannot say leaves the password. */
  protected async discover(email: string): Promise<void> {
    this.email.set(email);
    await this.going.run(async () => {
      const found = await this.api.post<Discovery>('/session/discover', { email }).catch((cause: unknown) => {
        const { code } = asProblem(cause);
        if (code === 'offline' || code === 'invalid' || code === 'too_many') throw cause;
        return withoutDiscovery;
      });
      this.step.set(chosen(email, found, this.passkeys));
    });
  }

  protected async password(password: string): Promise<void> {
    await this.begin('/session', { email: this.email(), password });
  }

  protected async passkey(): Promise<void> {
    await this.going.run(async () => {
      const { options, state } = await this.api.post<{ options: unknown; state: string }>('/session/passkey/begin');
      const credential = await usePasskey(options);
      this.next(await this.session.begin('/session/passkey', { state, credential }));
    });
  }

  protected go(provider: ProviderChoice): void {
    location.assign(startAddress(provider, this.target()));
  }

  protected async prove(proof: object): Promise<void> {
    const step = this.step();
    if (step.name !== 'second') return;
    await this.begin('/session/second-factor', { token: step.second.token, ...proof });
  }

  protected again(): void {
    this.going.clear();
    this.step.set({ name: 'email' });
  }

  private async begin(path: string, proof: object): Promise<void> {
    await this.going.run(async () => this.next(await this.session.begin(path, proof)));
  }

  private next(second: SecondFactor | null): void {
    if (!second) return; // the session is there, the effect leaves the page
    this.step.set(secondStep(second, this.passkeys));
  }

  // resume goes on with a sign-in that a provider's redirect brought here.
  private async resume(token: string): Promise<void> {
    history.replaceState(history.state, '', location.pathname + location.search);
    await this.going.run(async () =>
      this.next(await this.api.post<SecondFactor>('/session/second-factor/begin', { token }, { keepSession: true })),
    );
  }

  private target(): string {
    return safeReturn(this.return() ?? this.return_to() ?? null);
  }
}
