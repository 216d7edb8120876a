import { DialogRef } from '@angular/cdk/dialog';
import { ChangeDetectionStrategy, Component, DestroyRef, computed, inject, linkedSignal, signal } from '@angular/core';
import { FormControl, FormGroup, ReactiveFormsModule, Validators } from '@angular/forms';

import { Api } from '../api/api';
import { remote } from '../api/remote';
import { action } from '../feedback/action';
import { ProblemNotice } from '../feedback/problem-notice';
import { Field, FieldInput } from '../form/field';
import { submit } from '../form/submit';
import { Icon } from '../icon/icon';
import { Session } from '../session/session';
import { usePasskey } from '../webauthn/passkey';
import { DialogFrame } from './dialog-frame';
import { Elsewhere, Proof, ProofMethod, elsewhereAddress, proofsOf } from './step-up-methods';

/** Asks for a proof that it is still the same person before something sensitive; opened by Dialogs.stepUp. */
@Component({
  selector: 'nb-step-up',
  imports: [DialogFrame, Field, FieldInput, Icon, ProblemNotice, ReactiveFormsModule],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './step-up.html',
  styles: `
    form {
      display: contents;
    }
    .others {
      display: grid;
      gap: var(--s2);
    }
  `,
})
export class StepUpDialog {
  private readonly api = inject(Api);
  protected readonly ref = inject<DialogRef<boolean>>(DialogRef);
  protected readonly session = inject(Session);
  protected readonly ways = remote<Proof>(() => '/session/reauthenticate');
  protected readonly methods = computed(() => proofsOf(this.ways.value()?.methods));
  /** What is asked for now; the others stand below as buttons. */
  protected readonly method = linkedSignal<ProofMethod | null>(() => this.methods()[0] ?? null);
  protected readonly others = computed(() => this.methods().filter((one) => one !== this.method()));
  protected readonly waiting = signal(false);
  protected readonly form = new FormGroup({
    proof: new FormControl('', { nonNullable: true, validators: Validators.required }),
  });
  protected readonly sending = submit(this.form);
  protected readonly using = action();
  private readonly elsewhere = new Elsewhere(() => this.ref.close(true));

  constructor() {
    inject(DestroyRef).onDestroy(() => this.elsewhere.stop());
  }

  protected word(method: ProofMethod): string {
    switch (method) {
      case 'password':
        return $localize`Use the password`;
      case 'totp':
        return $localize`Use a code of the authenticator app`;
      case 'passkey':
        return $localize`Use a passkey`;
      case 'elsewhere':
        return $localize`Sign in again at your provider`;
    }
  }

  protected use(method: ProofMethod): void {
    this.form.reset();
    this.sending.clear();
    this.method.set(method);
  }

  protected async send(): Promise<void> {
    const method = this.method();
    if (!method || !this.sending.ready()) return;
    const { proof } = this.form.getRawValue();
    const value = method === 'totp' ? proof.replace(/\s/g, '') : proof;
    if (await this.sending.run(() => this.prove({ [method]: value }))) this.ref.close(true);
  }

  protected async passkey(): Promise<void> {
    const { options, state } = this.ways.value() ?? {};
    const done = await this.using.run(async () => this.prove({ state, credential: await usePasskey(options) }));
    if (done) this.ref.close(true);
    else await this.ways.reload(); // a challenge serves once
  }

  protected leave(): void {
    const to = this.ways.value()?.redirect;
    if (!to) return;
    if (this.elsewhere.open(to)) this.waiting.set(true);
    else location.assign(elsewhereAddress(to, location.pathname + location.search));
  }

  private prove(body: object): Promise<void> {
    return this.api.post('/session/reauthenticate', body, { keepSession: true });
  }
}
