import { Injectable, inject } from '@angular/core';

import { Api } from '@core/api/api';
import { Dialogs } from '@core/dialog/dialogs';
import { ShownOnce, ShownOnceDialog } from '@core/dialog/shown-once';
import { action } from '@core/feedback/action';
import { Toasts } from '@core/feedback/toasts';
import { Session } from '@core/session/session';

import { User, UserVerb } from './user';
import { UserRoles } from './user-roles';
import { UserSessions } from './user-sessions';

/** Does things to a person's account: asks first, says afterwards that it was done. */
@Injectable({ providedIn: 'root' })
export class UserWork {
  private readonly api = inject(Api);
  private readonly dialogs = inject(Dialogs);
  private readonly session = inject(Session);
  private readonly toasts = inject(Toasts);
  private readonly running = action('toast');

  readonly busy = this.running.busy;

  /** Does it; answers whether the account may have changed. */
  async do(verb: UserVerb, user: User): Promise<boolean> {
    switch (verb) {
      case 'roles':
        await this.dialogs.open(UserRoles, user);
        return true;
      case 'sessions':
        await this.dialogs.open(UserSessions, user, { wide: true });
        return false;
      case 'reset':
        return this.resetPassword(user);
      case 'mfa':
        return this.resetFactor(user);
      case 'disable':
        return (await this.sureToDisable(user)) && this.setStatus(user, 'disabled');
      case 'enable':
        return this.setStatus(user, 'active');
      case 'remove':
        return this.remove(user);
    }
  }

  private async resetPassword(user: User): Promise<boolean> {
    const sure = await this.dialogs.confirm({
      heading: $localize`Make a reset link for ${user.name}?`,
      text: $localize`With it a new password is chosen. The present one works until then; afterwards all sessions of this account end.`,
      verb: $localize`Make link`,
    });
    if (!sure) return false;
    await this.running.run(async () => {
      const made = await this.api.post<{ link: string; expires_at: string; mailed: boolean }>(`/users/${user.id}/password-reset`);
      await this.dialogs.open<void, ShownOnce>(
        ShownOnceDialog,
        {
          heading: $localize`Reset link for ${user.name}`,
          text: made.mailed
            ? $localize`It was mailed to ${user.name}. Whoever has it can choose the password.`
            : $localize`Pass it on by a way that only ${user.name} reads. Whoever has it can choose the password.`,
          secret: made.link,
          label: $localize`Password reset link`,
          expires_at: made.expires_at,
        },
        { disableClose: true },
      );
    });
    return false;
  }

  private async resetFactor(user: User): Promise<boolean> {
    const sure = await this.dialogs.confirm({
      heading: $localize`Reset the second factor of ${user.name}?`,
      text: $localize`Authenticator, passkeys and recovery codes are removed, and the sessions end. Do it only when you are sure who asks: the password alone is enough until a new factor is set up.`,
      verb: $localize`Reset second factor`,
      danger: true,
    });
    if (!sure) return false;
    const done = await this.running.run(() => this.api.delete(`/users/${user.id}/mfa`));
    return this.told(done, $localize`${user.name} has no second factor any more.`);
  }

  private async remove(user: User): Promise<boolean> {
    const tenant = this.session.tenant()?.name ?? '';
    const sure = await this.dialogs.confirm({
      heading: $localize`Remove ${user.name} from ${tenant}?`,
      text: $localize`Sessions and tokens in this tenant end at once; roles and groups are lost. When this is the only tenant of the account, the account is deleted. The audit record keeps the name.`,
      verb: $localize`Remove`,
      danger: true,
    });
    if (!sure) return false;
    const done = await this.running.run(() => this.api.delete(`/users/${user.id}`));
    return this.told(done, $localize`${user.name} is no member of ${tenant} any more.`);
  }

  private sureToDisable(user: User): Promise<boolean> {
    return this.dialogs.confirm({
      heading: $localize`Disable ${user.name}?`,
      text: $localize`All sessions, tokens and live connections of this account end at once. Nothing is deleted and the account can be enabled again.`,
      verb: $localize`Disable account`,
      danger: true,
    });
  }

  private setStatus(user: User, status: User['status']): Promise<boolean> {
    return this.running.run(() => this.api.patch(`/users/${user.id}`, { status }));
  }

  private told(done: boolean, words: string): boolean {
    if (done) this.toasts.done(words);
    return done;
  }
}
