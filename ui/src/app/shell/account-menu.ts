import { CdkMenu, CdkMenuItem, CdkMenuItemRadio, CdkMenuTrigger } from '@angular/cdk/menu';
import { ChangeDetectionStrategy, Component, inject } from '@angular/core';
import { RouterLink } from '@angular/router';

import { action } from '@core/feedback/action';
import { Icon } from '@core/icon/icon';
import { IconName } from '@core/icon/icons';
import { Session } from '@core/session/session';
import { Theme, ThemeChoice } from '@core/theme/theme';

/** The person at the foot of the navigation: profile, theme, sign out. */
@Component({
  selector: 'nb-account-menu',
  imports: [CdkMenu, CdkMenuItem, CdkMenuItemRadio, CdkMenuTrigger, Icon, RouterLink],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    @if (session.user(); as user) {
      <button type="button" class="account" [cdkMenuTriggerFor]="menu">
        <nb-icon name="user" />
        <span class="text">
          <span class="visually-hidden" i18n>Your account:</span>
          <span>{{ user.name }}</span>
          <small>{{ user.email }}</small>
        </span>
        <nb-icon name="more" [size]="16" />
      </button>
      <ng-template #menu>
        <div class="nb-menu" cdkMenu i18n-aria-label aria-label="Your account">
          <a cdkMenuItem routerLink="/profile"><nb-icon name="user" [size]="16" /><ng-container i18n>Profile, sessions and tokens</ng-container></a>
          <hr />
          @for (choice of themes; track choice.value) {
            <button
              type="button"
              cdkMenuItemRadio
              [cdkMenuItemChecked]="theme.choice() === choice.value"
              (cdkMenuItemTriggered)="theme.choose(choice.value)"
            >
              <nb-icon [name]="choice.icon" [size]="16" />
              {{ choice.label }}
              @if (theme.choice() === choice.value) {
                <nb-icon class="chosen" name="check" [size]="16" />
              }
            </button>
          }
          <hr />
          <button type="button" cdkMenuItem (cdkMenuItemTriggered)="signOut()">
            <nb-icon name="signout" [size]="16" /><ng-container i18n>Sign out</ng-container>
          </button>
        </div>
      </ng-template>
    }
  `,
  styles: `
    .account {
      display: flex;
      align-items: center;
      gap: var(--s3);
      width: 100%;
      padding: var(--s2) var(--s3);
      border: 0;
      border-radius: var(--radius-s);
      background: none;
      color: var(--rail-ink);
      text-align: left;
      cursor: pointer;
    }
    .account:hover {
      background: var(--rail-hover);
    }
    .text {
      display: grid;
      flex: 1;
      min-width: 0;
      line-height: 1.25;
    }
    .text > * {
      overflow: hidden;
      text-overflow: ellipsis;
      white-space: nowrap;
    }
    small {
      color: var(--rail-ink-soft);
      font-size: var(--text-xs);
    }
    .chosen {
      margin-left: auto;
    }
  `,
})
export class AccountMenu {
  protected readonly session = inject(Session);
  protected readonly theme = inject(Theme);
  private readonly leaving = action('toast');
  protected readonly themes: readonly { value: ThemeChoice; label: string; icon: IconName }[] = [
    { value: 'system', label: $localize`Theme of the system`, icon: 'screen' },
    { value: 'light', label: $localize`Light theme`, icon: 'sun' },
    { value: 'dark', label: $localize`Dark theme`, icon: 'moon' },
  ];

  protected signOut(): void {
    void this.leaving.run(() => this.session.signOut());
  }
}
