import { ChangeDetectionStrategy, Component, computed, inject, input } from '@angular/core';
import { RouterLink } from '@angular/router';

import { remote } from '@core/api/remote';
import { OpenAnomalies } from '@core/audit/open-anomalies';
import { Dialogs } from '@core/dialog/dialogs';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Toasts } from '@core/feedback/toasts';
import { Icon } from '@core/icon/icon';
import { Badge } from '@core/page/badge';
import { CopyId } from '@core/page/copy-id';
import { PageHeader } from '@core/page/page-header';
import { Session } from '@core/session/session';
import { Time } from '@core/time/time';

import { Anomaly, Decision, decisionsFor, kindText, kindWord, severityTone, stateTone, stateWord, subjectLink } from './anomaly';
import { Decide, DecideData } from './decide';
import { Evidence } from './evidence';

/** One finding: what was seen, in which records, and what people said about it. */
@Component({
  selector: 'nb-finding',
  imports: [Badge, CopyId, Evidence, Icon, PageHeader, ProblemNotice, RouterLink, Time],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './finding.html',
  styles: `
    .page {
      gap: var(--s5);
    }
    .note {
      white-space: pre-wrap;
      overflow-wrap: anywhere;
    }
  `,
})
export class Finding {
  private readonly dialogs = inject(Dialogs);
  private readonly toasts = inject(Toasts);
  private readonly open = inject(OpenAnomalies);
  protected readonly session = inject(Session);

  /** Identifier of the finding, from the address. */
  readonly id = input.required<string>();

  protected readonly finding = remote<Anomaly>(() => `/audit/anomalies/${this.id()}`);
  protected readonly decisions = computed(() => decisionsFor(this.finding.value()?.state ?? ''));
  protected readonly subject = computed(() => {
    const finding = this.finding.value();
    return finding ? subjectLink(finding.subject, (permission) => this.session.can(permission)) : null;
  });
  protected readonly kindWord = kindWord;
  protected readonly kindText = kindText;
  protected readonly stateWord = stateWord;
  protected readonly stateTone = stateTone;
  protected readonly severityTone = severityTone;
  protected readonly back = { link: '/anomalies', label: $localize`Anomalies` };

  protected word(decision: Decision): string {
    switch (decision) {
      case 'acknowledge':
        return $localize`Acknowledge`;
      case 'false-positive':
        return $localize`False positive`;
      case 'reopen':
        return $localize`Open again`;
    }
  }

  protected async decide(finding: Anomaly, decision: Decision): Promise<void> {
    if (!(await this.dialogs.open<boolean, DecideData>(Decide, { finding, decision }))) return;
    this.toasts.done($localize`Recorded with your note.`);
    this.open.read();
    await this.finding.reload();
  }
}
