import { ChangeDetectionStrategy, Component, computed, inject, input } from '@angular/core';
import { Router, RouterLink } from '@angular/router';

import { Api } from '@core/api/api';
import { action } from '@core/feedback/action';
import { Toasts } from '@core/feedback/toasts';
import { Field, FieldInput } from '@core/form/field';
import { Icon } from '@core/icon/icon';
import { keysetList } from '@core/list/keyset-list';
import { ListFrame } from '@core/list/list-frame';
import { Badge } from '@core/page/badge';
import { EmptyState } from '@core/page/empty-state';
import { PageHeader } from '@core/page/page-header';
import { Realtime } from '@core/realtime/realtime';
import { Session } from '@core/session/session';
import { Time } from '@core/time/time';

import { Anomaly, kindWord, kinds, severityTone, stateTone, stateWord } from './anomaly';
import { AnomalyTabs } from './anomaly-tabs';

/** What looked unusual in the audit trail, the open findings first to see. The filters live in the address. */
@Component({
  selector: 'nb-anomalies',
  imports: [AnomalyTabs, Badge, EmptyState, Field, FieldInput, Icon, ListFrame, PageHeader, RouterLink, Time],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './anomalies.html',
  styleUrl: './anomalies.scss',
})
export class Anomalies {
  private readonly api = inject(Api);
  private readonly router = inject(Router);
  private readonly toasts = inject(Toasts);
  protected readonly session = inject(Session);

  /** The open ones when it is left out; `all` for every state. */
  readonly state = input<string>();
  readonly kind = input<string>();

  protected readonly shown = computed(() => this.state() ?? 'open');
  protected readonly list = keysetList<Anomaly>('/audit/anomalies', () => ({
    state: this.shown() === 'all' ? '' : this.shown(),
    kind: this.kind() ?? '',
  }));
  protected readonly running = action('toast');
  protected readonly kinds = kinds;
  protected readonly kindWord = kindWord;
  protected readonly stateWord = stateWord;
  protected readonly stateTone = stateTone;
  protected readonly severityTone = severityTone;

  protected filter(name: 'state' | 'kind', value: string): void {
    const plain = value === '' || (name === 'state' && value === 'open');
    void this.router.navigate([], { queryParams: { [name]: plain ? null : value }, queryParamsHandling: 'merge' });
  }

  constructor() {
    inject(Realtime).on('audit.anomaly', () => void this.list.reload());
  }

  /** Looks now instead of at the next full hour. */
  protected async run(): Promise<void> {
    if (!(await this.running.run(() => this.api.post('/audit/anomalies/run')))) return;
    this.toasts.done($localize`Looking through the newest records. What is found appears here.`);
  }
}
