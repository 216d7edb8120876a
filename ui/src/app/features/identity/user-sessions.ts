import { DIALOG_DATA, DialogRef } from '@angular/cdk/dialog';
import { ChangeDetectionStrategy, Component, inject } from '@angular/core';

import { Api } from '@core/api/api';
import { DialogFrame } from '@core/dialog/dialog-frame';
import { action } from '@core/feedback/action';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { wholeList } from '@core/list/whole-list';
import { Badge } from '@core/page/badge';
import { Session } from '@core/session/session';
import { Time } from '@core/time/time';

import { User } from './user';
import { agentName } from './user-agent';

/** One session of a person, as an administrator sees it. */
interface SessionOf {
  id: string;
  address: string;
  user_agent: string;
  method?: string;
  mfa?: boolean;
  signed_in_at: string;
  last_seen_at: string;
  expires_at: string;
  current?: boolean;
}

/** Where somebody is signed in, and ending all of it. */
@Component({
  selector: 'nb-user-sessions',
  imports: [Badge, DialogFrame, ProblemNotice, Time],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <nb-dialog-frame [heading]="heading">
      <nb-problem
        [problem]="list.problem() ?? ending.problem()"
        [retryable]="list.problem() !== null"
        (retry)="list.reload()"
      />
      @if (list.items().length > 0) {
        <div class="scroll" tabindex="0" role="region" [attr.aria-label]="heading">
          <table class="table">
            <thead>
              <tr>
                <th scope="col" i18n>Browser</th>
                <th scope="col" i18n>Address</th>
                <th scope="col" i18n>Signed in</th>
                <th scope="col" i18n>Last seen</th>
                <th scope="col" i18n>By</th>
              </tr>
            </thead>
            <tbody>
              @for (one of list.items(); track one.id) {
                <tr>
                  <th scope="row" class="nowrap" [title]="one.user_agent">{{ agent(one.user_agent) }}</th>
                  <td class="mono">{{ one.address }}</td>
                  <td><nb-time [at]="one.signed_in_at" [relative]="true" /></td>
                  <td><nb-time [at]="one.last_seen_at" [relative]="true" /></td>
                  <td class="nowrap">
                    {{ method(one.method) }}
                    @if (one.mfa) {
                      <nb-badge tone="good" i18n>second factor</nb-badge>
                    }
                  </td>
                </tr>
              }
            </tbody>
          </table>
        </div>
      } @else if (list.empty()) {
        <p class="soft" i18n>Not signed in anywhere.</p>
      } @else if (list.loading()) {
        <p class="soft" role="status" i18n>Loading …</p>
      }
      <ng-container actions>
        @if (list.items().length > 0 && session.can('identity:session:end')) {
          <button type="button" class="button danger" [disabled]="ending.busy()" (click)="end()" i18n>
            End all sessions
          </button>
        }
        <button type="button" class="button primary" (click)="ref.close()" i18n>Close</button>
      </ng-container>
    </nb-dialog-frame>
  `,
})
export class UserSessions {
  private readonly api = inject(Api);
  private readonly user = inject<User>(DIALOG_DATA);
  protected readonly session = inject(Session);
  protected readonly ref = inject<DialogRef<void>>(DialogRef);
  protected readonly heading = $localize`Sessions of ${this.user.name}`;
  protected readonly list = wholeList<SessionOf>(() => `/users/${this.user.id}/sessions`);
  protected readonly ending = action();
  protected readonly agent = agentName;

  protected method(method: string | undefined): string {
    const words: Readonly<Record<string, string>> = {
      password: $localize`password`,
      oidc: $localize`OpenID Connect`,
      saml: $localize`SAML`,
      passkey: $localize`passkey`,
      recovery: $localize`recovery code`,
    };
    return method ? (words[method] ?? method) : '–';
  }

  protected async end(): Promise<void> {
    if (await this.ending.run(() => this.api.post(`/users/${this.user.id}/sessions/end`))) await this.list.reload();
  }
}
