import { ChangeDetectionStrategy, Component, computed, inject } from '@angular/core';

import { remote } from '@core/api/remote';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Icon } from '@core/icon/icon';
import { Badge, Tone } from '@core/page/badge';
import { PageHeader } from '@core/page/page-header';
import { Clock } from '@core/time/clock';
import { duration } from '@core/time/format';
import { Time } from '@core/time/time';

type State = 'ok' | 'degraded' | 'down';

/** How the appliance and each of its parts are. */
interface HealthReport {
  status: State;
  version: string;
  started_at: string;
  components: { name: string; status: string; message: string; since: string }[];
}

/** The state of every part of the appliance, read again by itself. */
@Component({
  selector: 'nb-health',
  imports: [Badge, Icon, PageHeader, ProblemNotice, Time],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './health.html',
})
export class Health {
  private readonly clock = inject(Clock);
  // Read anew each time the clock moves: this page is open when something is wrong.
  protected readonly report = remote<HealthReport>(() => {
    this.clock.now();
    return '/system/health';
  });
  protected readonly uptime = computed(() => {
    const report = this.report.value();
    return report ? duration((this.clock.now() - Date.parse(report.started_at)) / 1000) : '';
  });

  protected tone(status: string): Tone {
    if (status === 'ok') return 'good';
    return status === 'degraded' ? 'warn' : status === 'down' ? 'bad' : 'plain';
  }

  protected headline(status: State): string {
    switch (status) {
      case 'ok':
        return $localize`Everything answers.`;
      case 'degraded':
        return $localize`Nimbus works, but a part needs attention.`;
      case 'down':
        return $localize`A part that Nimbus needs does not answer.`;
    }
  }
}
