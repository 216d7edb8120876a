import { ChangeDetectionStrategy, Component, computed, inject } from '@angular/core';

import { Api } from '@core/api/api';
import { Dialogs } from '@core/dialog/dialogs';
import { action } from '@core/feedback/action';
import { Toasts } from '@core/feedback/toasts';
import { Icon } from '@core/icon/icon';
import { keysetList } from '@core/list/keyset-list';
import { ListFrame } from '@core/list/list-frame';
import { Badge } from '@core/page/badge';
import { CopyId } from '@core/page/copy-id';
import { EmptyState } from '@core/page/empty-state';
import { PageHeader } from '@core/page/page-header';
import { Session, SessionMethod } from '@core/session/session';
import { Time } from '@core/time/time';

import { ChangePassword } from './change-password';
import { CreateToken } from './create-token';
import { SecondFactors } from './mfa/second-factors';
import { methodWord } from './session-method';
import { agentName } from './user-agent';

/** One of the person's own sessions. */
interface OwnSession {
  id: string;
  address: string;
  user_agent: string;
  signed_in_at: string;
  last_seen_at: string;
  expires_at: string;
  method?: SessionMethod;
  mfa?: boolean;
  current: boolean;
}

/** One of the person's own API tokens; the secret part is never told again. */
interface OwnToken {
  id: string;
  name: string;
  expires_at: string | null;
  created_at?: string;
  last_used_at?: string | null;
}

/** The person's own account: who they are here, their sessions and API tokens. */
@Component({
  selector: 'nb-profile',
  imports: [Badge, CopyId, EmptyState, Icon, ListFrame, PageHeader, SecondFactors, Time],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './profile.html',
  styleUrl: './profile.scss',
})
export class Profile {
  private readonly api = inject(Api);
  private readonly dialogs = inject(Dialogs);
  private readonly toasts = inject(Toasts);
  protected readonly session = inject(Session);
  protected readonly sessions = keysetList<OwnSession>('/sessions');
  protected readonly current = computed(() => this.sessions.items().find((one) => one.current));
  protected readonly tokens = keysetList<OwnToken>('/tokens');
  protected readonly changing = action('toast');
  protected readonly agent = agentName;
  protected readonly method = methodWord;
  protected readonly withFactor = $localize`, second factor`;

  protected async endSession(one: OwnSession): Promise<void> {
    if (await this.changing.run(() => this.api.delete(`/sessions/${one.id}`))) {
      this.toasts.done($localize`That session has ended.`);
      await this.sessions.reload();
    }
  }

  protected async changePassword(): Promise<void> {
    if (!(await this.dialogs.open<boolean>(ChangePassword))) return;
    this.toasts.done($localize`Your password is changed; your other sessions have ended.`);
    await this.sessions.reload();
  }

  protected async endOthers(): Promise<void> {
    const sure = await this.dialogs.confirm({
      heading: $localize`End all your other sessions?`,
      text: $localize`Other browsers and devices have to sign in again. This one stays.`,
      verb: $localize`End them`,
      danger: true,
    });
    if (!sure) return;
    const others = this.sessions.items().filter((one) => !one.current);
    await this.changing.run(async () => {
      for (const one of others) await this.api.delete(`/sessions/${one.id}`);
    });
    await this.sessions.reload();
  }

  protected async createToken(): Promise<void> {
    await this.dialogs.open(CreateToken);
    await this.tokens.reload();
  }

  protected async revoke(token: OwnToken): Promise<void> {
    const sure = await this.dialogs.confirm({
      heading: $localize`Revoke ${token.name}?`,
      text: $localize`Whatever uses this token is refused from the next request on. It cannot be brought back; make a new one instead.`,
      verb: $localize`Revoke token`,
      danger: true,
    });
    if (!sure || !(await this.changing.run(() => this.api.delete(`/tokens/${token.id}`)))) return;
    await this.tokens.reload();
  }
}
