import { ChangeDetectionStrategy, Component, computed, effect, inject, signal, untracked } from '@angular/core';
import { toSignal } from '@angular/core/rxjs-interop';
import { ActivatedRoute, Router, RouterLink } from '@angular/router';

import { Icon } from '@core/icon/icon';
import { Badge } from '@core/page/badge';
import { EmptyState } from '@core/page/empty-state';
import { PageHeader } from '@core/page/page-header';
import { FeedState, Realtime } from '@core/realtime/realtime';
import { Time } from '@core/time/time';

import { AuditTabs } from './audit-tabs';
import { FeedLine, FeedMessage, append, most } from './feed';
import { AuditFilter, filterOf, paramsOf, queryOf } from './filter';
import { FilterBar } from './filter-bar';
import { outcomeTone, targetName, whoActed } from './record';

const feed = { event: 'audit:watch', end: 'audit:unwatch', heard: 'audit.recorded', kind: 'audit' };

/** Records as they are sealed. A reader that is too slow is told how many lines it missed. */
@Component({
  selector: 'nb-live-page',
  imports: [AuditTabs, Badge, EmptyState, FilterBar, Icon, PageHeader, RouterLink, Time],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './live-page.html',
  styleUrl: './live-page.scss',
})
export class LivePage {
  private readonly router = inject(Router);
  private readonly route = inject(ActivatedRoute);
  private readonly realtime = inject(Realtime);
  private readonly params = toSignal(this.route.queryParamMap, { initialValue: this.route.snapshot.queryParamMap });

  protected readonly filter = computed(() => ({ ...filterOf(this.params()), q: '', last: '', from: '', to: '' }));
  protected readonly link = this.realtime.state;
  private readonly feed = signal<FeedState>({ on: true });
  /** Why the appliance sends nothing, or null while it does. */
  protected readonly refusal = computed(() => {
    const state = this.feed();
    return state.on ? null : state.reason || $localize`The appliance refused it without a reason. Try again, or look at System health.`;
  });
  private readonly tries = signal(0);
  protected readonly paused = signal(false);
  protected readonly lines = signal<readonly FeedLine[]>([]);
  /** What came while the page stands still; shown when it goes on. */
  private readonly held = signal<readonly FeedLine[]>([]);
  protected readonly waiting = computed(() => {
    const shown = new Set(this.lines().map((line) => line.key));
    return this.held().filter((line) => !shown.has(line.key)).length;
  });
  protected readonly most = most;
  protected readonly tone = outcomeTone;
  protected readonly called = targetName;
  protected readonly who = whoActed;

  constructor() {
    effect((onCleanup) => {
      this.tries();
      const query = queryOf(this.filter(), 0);
      untracked(() => this.clear());
      onCleanup(this.realtime.feed<FeedMessage>(feed, { filter: query }, (message) => this.take(message), (state) => this.feed.set(state)));
    });
  }

  protected show(filter: AuditFilter): void {
    void this.router.navigate([], { queryParams: paramsOf(filter) });
  }

  protected again(): void {
    this.tries.update((count) => count + 1);
  }

  protected toggle(): void {
    this.paused.update((paused) => !paused);
    if (!this.paused()) this.lines.set(this.held());
  }

  protected clear(): void {
    this.held.set([]);
    this.lines.set([]);
  }

  private take(message: FeedMessage): void {
    this.held.update((lines) => append(lines, message));
    if (!this.paused()) this.lines.set(this.held());
  }
}
