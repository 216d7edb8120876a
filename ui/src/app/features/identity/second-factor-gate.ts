import { ChangeDetectionStrategy, Component, inject } from '@angular/core';
import { Title } from '@angular/platform-browser';
import { Router } from '@angular/router';

import { Api } from '@core/api/api';
import { Dialogs } from '@core/dialog/dialogs';
import { action } from '@core/feedback/action';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Session } from '@core/session/session';

import { EntryFrame } from './entry-frame';
import { SecondFactors } from './mfa/second-factors';

/** Where a session waits that has to enrol or prove a second factor before anything else. */
@Component({
  selector: 'nb-second-factor-gate',
  imports: [EntryFrame, ProblemNotice, SecondFactors],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './second-factor-gate.html',
})
export class SecondFactorGate {
  private readonly router = inject(Router);
  private readonly dialogs = inject(Dialogs);
  protected readonly session = inject(Session);
  protected readonly going = action();

  constructor() {
    inject(Title).setTitle($localize`Second factor · Nimbus`);
    inject(Api).stepUp = () => this.dialogs.stepUp();
  }

  protected async prove(): Promise<void> {
    if (await this.dialogs.stepUp()) await this.goOn();
  }

  protected async goOn(): Promise<void> {
    await this.going.run(() => this.session.refresh());
    if (!this.session.limited()) await this.router.navigateByUrl('/');
  }

  protected async signOut(): Promise<void> {
    await this.going.run(() => this.session.signOut());
    if (!this.session.signedIn()) await this.router.navigateByUrl('/sign-in');
  }
}
