import { ChangeDetectionStrategy, Component, effect, inject, input } from '@angular/core';
import { FormControl, FormGroup, ReactiveFormsModule, Validators } from '@angular/forms';
import { Title } from '@angular/platform-browser';
import { Router } from '@angular/router';

import { ProblemNotice } from '@core/feedback/problem-notice';
import { Field, FieldInput } from '@core/form/field';
import { submit } from '@core/form/submit';
import { Icon } from '@core/icon/icon';
import { safeReturn } from '@core/session/guards';
import { Session } from '@core/session/session';

import { Brand } from '../../shell/brand';

/** The page that asks who you are. */
@Component({
  selector: 'nb-sign-in',
  imports: [Brand, Field, FieldInput, Icon, ProblemNotice, ReactiveFormsModule],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './sign-in.html',
  styleUrl: './sign-in.scss',
})
export class SignIn {
  private readonly router = inject(Router);
  protected readonly session = inject(Session);

  /** Where to go afterwards, from the address. */
  readonly return = input<string>();
  /** Set when the server did not answer the question who is signed in. */
  readonly unreachable = input<string>();

  protected readonly host = location.host;
  protected readonly form = new FormGroup({
    email: new FormControl('', { nonNullable: true, validators: [Validators.required, Validators.email] }),
    password: new FormControl('', { nonNullable: true, validators: Validators.required }),
  });
  protected readonly sending = submit(this.form);

  constructor() {
    inject(Title).setTitle($localize`Sign in · Nimbus`);
    effect(() => {
      if (this.session.signedIn()) void this.router.navigateByUrl(safeReturn(this.return() ?? null));
    });
  }

  protected async send(): Promise<void> {
    if (!this.sending.ready()) return;
    const { email, password } = this.form.getRawValue();
    await this.sending.run(() => this.session.signIn(email.trim(), password));
  }
}
