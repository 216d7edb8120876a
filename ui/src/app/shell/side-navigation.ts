import { ChangeDetectionStrategy, Component, computed, inject } from '@angular/core';
import { RouterLink, RouterLinkActive } from '@angular/router';

import { WaitingApprovals } from '@core/approval/waiting-approvals';
import { OpenAnomalies } from '@core/audit/open-anomalies';
import { Icon } from '@core/icon/icon';
import { Session } from '@core/session/session';

import { navigationFor } from './navigation';

/** The pages, grouped. */
@Component({
  selector: 'nb-side-navigation',
  imports: [Icon, RouterLink, RouterLinkActive],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <nav i18n-aria-label aria-label="Pages">
      @for (group of groups(); track group.label) {
        @if (group.label) {
          <h2>{{ group.label }}</h2>
        }
        <ul>
          @for (entry of group.entries; track entry.path) {
            <li>
              <a
                [routerLink]="entry.path"
                routerLinkActive="here"
                ariaCurrentWhenActive="page"
                [routerLinkActiveOptions]="{ exact: entry.path === '/' }"
                (isActiveChange)="$event && link.scrollIntoView({ block: 'nearest' })"
                #link
              >
                <nb-icon [name]="entry.icon" />
                {{ entry.label }}
                @if (entry.path === '/approvals' && approvals.mine(); as waiting) {
                  <span class="count">{{ waiting }}<span class="visually-hidden" i18n> wait for you</span></span>
                }
                @if (entry.path === '/anomalies' && anomalies.count(); as open) {
                  <span class="count">{{ anomalies.text() }}<span class="visually-hidden" i18n> open</span></span>
                }
              </a>
            </li>
          }
        </ul>
      }
    </nav>
  `,
  styles: `
    h2 {
      padding: var(--s4) var(--s3) var(--s1);
      color: var(--rail-ink-soft);
      font-size: var(--text-xs);
      font-weight: 500;
      letter-spacing: 0;
    }
    ul {
      display: grid;
      gap: 1px;
      padding: 2px;
    }
    a {
      display: flex;
      align-items: center;
      gap: var(--s3);
      min-height: 2.125rem;
      padding: 0 var(--s3);
      border-radius: var(--radius-s);
      color: var(--rail-ink);
      text-decoration: none;
    }
    @media (max-height: 980px) {
      h2 {
        padding-top: var(--s3);
      }
      a {
        min-height: 1.9375rem;
      }
    }
    a:hover {
      background: var(--rail-hover);
      color: var(--rail-ink);
    }
    a nb-icon {
      color: var(--rail-ink-soft);
    }
    a.here {
      background: var(--rail-active);
      font-weight: 550;
      box-shadow: inset 2px 0 0 var(--rail-accent);
    }
    a.here nb-icon {
      color: var(--rail-accent);
    }
    .count {
      min-width: 1.25rem;
      margin-left: auto;
      padding: 0 0.35rem;
      border-radius: 1rem;
      background: var(--rail-accent);
      color: #06201f;
      font-size: var(--text-xs);
      font-weight: 600;
      line-height: 1.25rem;
      text-align: center;
    }
  `,
})
export class SideNavigation {
  private readonly session = inject(Session);
  protected readonly groups = computed(() =>
    navigationFor((permission) => this.session.can(permission), this.session.tenant()?.is_root ?? false),
  );
  protected readonly approvals = inject(WaitingApprovals);
  protected readonly anomalies = inject(OpenAnomalies);
}
