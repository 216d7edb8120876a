import { ChangeDetectionStrategy, Component, computed, inject } from '@angular/core';
import { RouterLink } from '@angular/router';

import { Icon } from '@core/icon/icon';
import { Realtime } from '@core/realtime/realtime';
import { Session } from '@core/session/session';
import { Clock } from '@core/time/clock';
import { duration } from '@core/time/format';

/** What everybody must see on every page: break-glass is open, or the line is down. */
@Component({
  selector: 'nb-banners',
  imports: [Icon, RouterLink],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    @if (session.breakglass(); as open) {
      <div class="glass" role="alert">
        <nb-icon name="breakglass" />
        <p>
          <strong i18n>Break-glass is open</strong>&ngsp;<ng-container i18n>for {{ open.user_name }}: “{{ open.reason }}”. It ends by itself in {{ left() }}; everything is recorded.</ng-container>
        </p>
        <a routerLink="/break-glass" i18n>Look or end it</a>
      </div>
    }
    <div role="status">
      @if (realtime.state() === 'lost') {
        <div class="lost">
          <nb-icon name="connection" [size]="16" />
          <p i18n>The live connection is interrupted; trying again. What you see may be older than it looks.</p>
        </div>
      }
    </div>
  `,
  styles: `
    .glass,
    .lost {
      display: flex;
      flex-wrap: wrap;
      align-items: center;
      gap: var(--s2) var(--s3);
      padding: var(--s2) var(--s6);
    }
    .glass {
      background: #9c1d14;
      color: #fff;
      --focus: #fff;
    }
    .glass a {
      color: #fff;
      font-weight: 550;
    }
    .lost {
      background: var(--warn-wash);
      color: var(--warn);
      border-bottom: 1px solid var(--line);
      font-size: var(--text-s);
    }
    p {
      flex: 1 1 16rem;
    }
    @media (max-width: 899.98px) {
      .glass,
      .lost {
        padding-inline: var(--s4);
      }
    }
  `,
})
export class Banners {
  protected readonly session = inject(Session);
  protected readonly realtime = inject(Realtime);
  private readonly clock = inject(Clock);
  protected readonly left = computed(() => {
    const ends = this.session.breakglass()?.ends_at;
    return ends ? duration((Date.parse(ends) - this.clock.now()) / 1000) : '';
  });
}
