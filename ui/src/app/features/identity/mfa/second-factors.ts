import { ChangeDetectionStrategy, Component, computed, inject, input, output } from '@angular/core';

import { Api } from '@core/api/api';
import { remote } from '@core/api/remote';
import { Dialogs } from '@core/dialog/dialogs';
import { action } from '@core/feedback/action';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Toasts } from '@core/feedback/toasts';
import { Icon } from '@core/icon/icon';
import { Badge } from '@core/page/badge';
import { Time } from '@core/time/time';
import { passkeysWork } from '@core/webauthn/passkey';

import { Factors, Passkey, anyFactor, isLast } from './factors';

/** The person's second factors: an authenticator app, passkeys, recovery codes. */
@Component({
  selector: 'nb-second-factors',
  imports: [Badge, Icon, ProblemNotice, Time],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './second-factors.html',
  styleUrl: './second-factors.scss',
})
export class SecondFactors {
  private readonly api = inject(Api);
  private readonly dialogs = inject(Dialogs);
  private readonly toasts = inject(Toasts);
  protected readonly factors = remote<Factors>(() => '/mfa');
  protected readonly any = computed(() => anyFactor(this.factors.value()));
  protected readonly changing = action('toast');
  protected readonly passkeys = passkeysWork();
  /** Says that there is none yet; off where the page says it. */
  readonly lead = input(true);
  /** A factor was added. */
  readonly added = output();

  protected async addTotp(): Promise<void> {
    const { AddTotp } = await import('./add-totp');
    await this.add(await this.dialogs.open<string[]>(AddTotp));
  }

  protected async addPasskey(): Promise<void> {
    const { AddPasskey } = await import('./add-passkey');
    await this.add(await this.dialogs.open<string[]>(AddPasskey));
  }

  protected async removeTotp(): Promise<void> {
    if (await this.sure($localize`Remove the authenticator app?`)) await this.change(() => this.api.delete('/mfa/totp'));
  }

  protected async removePasskey(one: Passkey): Promise<void> {
    if (await this.sure($localize`Remove the passkey ${one.name}?`)) await this.change(() => this.api.delete(`/mfa/passkeys/${one.id}`));
  }

  protected async newCodes(): Promise<void> {
    const sure = await this.dialogs.confirm({
      heading: $localize`Make new recovery codes?`,
      text: $localize`The ones you have do not work any more then.`,
      verb: $localize`Make new codes`,
    });
    if (!sure) return;
    await this.change(async () => this.show((await this.api.post<{ codes: string[] }>('/mfa/recovery-codes')).codes));
  }

  private sure(heading: string): Promise<boolean> {
    const factors = this.factors.value();
    const last = factors !== null && isLast(factors);
    return this.dialogs.confirm({
      heading,
      text: last
        ? $localize`It is your last one, and your organisation asks for one: you will have to add another before you can go on.`
        : $localize`Signing in does not ask for it any more.`,
      verb: $localize`Remove`,
      danger: true,
    });
  }

  // add goes on when a dialog has closed; undefined means that it was given up.
  private async add(codes: string[] | undefined): Promise<void> {
    if (!codes) return;
    if (codes.length) await this.show(codes);
    else this.toasts.done($localize`The second factor is added.`);
    await this.factors.reload();
    this.added.emit();
  }

  private async change(work: () => Promise<unknown>): Promise<void> {
    if (await this.changing.run(work)) await this.factors.reload();
  }

  private async show(codes: string[]): Promise<void> {
    const { RecoveryCodes } = await import('./recovery-codes');
    await this.dialogs.open<void>(RecoveryCodes, codes, { disableClose: true });
  }
}
