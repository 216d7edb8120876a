import { ChangeDetectionStrategy, Component, computed, inject } from '@angular/core';
import { RouterLink } from '@angular/router';

import { Page } from '@core/api/api';
import { remote } from '@core/api/remote';
import { Retention, anythingEnds, keptFor } from '@core/audit/retention';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Badge } from '@core/page/badge';
import { Session } from '@core/session/session';
import { Time } from '@core/time/time';

/** What the card shows of the archive, the newest segment and the holds. */
interface Archive {
  kind: string;
  ran_at?: string | null;
  failed_at?: string | null;
  waiting?: number;
}

/** How long records are kept, where their copies go, and what is held. */
@Component({
  selector: 'nb-retention-card',
  imports: [Badge, ProblemNotice, RouterLink, Time],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <section class="card" aria-labelledby="retention">
      <header>
        <h2 id="retention" i18n>Retention</h2>
        <a class="small-text" routerLink="/audit-settings/retention" i18n>Settings</a>
      </header>
      <div class="body">
        <nb-problem [problem]="told.problem()" [retryable]="true" (retry)="told.reload()" />
        @if (told.value(); as it) {
          <dl class="facts">
            <div>
              <dt i18n>Records are kept</dt>
              <dd>
                {{ kept() }}
                @if (it.rules.length) {
                  <span class="soft" i18n>; rules for some events: {{ it.rules.length }}</span>
                }
              </dd>
            </div>
            <div>
              <dt i18n>When it is over</dt>
              <dd>
                @if (!ends()) {
                  <ng-container i18n>nothing ends</ng-container>
                } @else if (it.prune_enabled) {
                  <ng-container i18n>deleted here, once a copy was read back from the archive</ng-container>
                } @else {
                  <ng-container i18n>they stay: deleting is switched off</ng-container>
                }
              </dd>
            </div>
            @if (archive.value(); as target) {
              <div>
                <dt i18n>Archive</dt>
                <dd>
                  @if (target.kind === 'none') {
                    <a routerLink="/audit-settings/archive" i18n>none chosen</a>
                  } @else if (target.failed_at) {
                    <nb-badge tone="bad" i18n>fails</nb-badge>&ngsp;<ng-container i18n>since <nb-time [at]="target.failed_at" [relative]="true" /></ng-container>
                  } @else {
                    <nb-badge tone="good" i18n>works</nb-badge>&ngsp;
                    @if (target.ran_at) {
                      <span class="soft" i18n>last run <nb-time [at]="target.ran_at" [relative]="true" /></span>
                    }
                  }
                  @if (target.waiting) {
                    <p class="small-text"><a routerLink="/audit-settings/archive" i18n>{{ target.waiting }} records wait for a collector</a></p>
                  }
                </dd>
              </div>
            }
            @if (holds.value()) {
              <div>
                <dt i18n>Legal holds</dt>
                <dd>
                  @if (active()) {
                    <a routerLink="/audit-settings/holds" i18n>{{ active() }} in force</a>
                  } @else {
                    <ng-container i18n>none</ng-container>
                  }
                </dd>
              </div>
            }
          </dl>
        } @else if (told.loading()) {
          <p class="soft" role="status" i18n>Loading …</p>
        }
      </div>
    </section>
  `,
})
export class RetentionCard {
  private readonly session = inject(Session);
  protected readonly told = remote<Retention>(() => '/audit/retention');
  protected readonly archive = remote<Archive>(() => this.asked('audit:archive:read', '/audit/archive/target'));
  protected readonly holds = remote<Page<{ released_at?: string | null }>>(() => this.asked('audit:hold:read', '/audit/holds'));
  protected readonly kept = computed(() => keptFor(this.told.value()?.default_days ?? null));
  protected readonly ends = computed(() => {
    const told = this.told.value();
    return told !== null && anythingEnds(told);
  });
  protected readonly active = computed(() => this.holds.value()?.items.filter((one) => !one.released_at).length ?? 0);

  private asked(permission: string, path: string): string | null {
    return this.session.can(permission) ? path : null;
  }
}
