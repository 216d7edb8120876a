import { ChangeDetectionStrategy, Component, computed, input } from '@angular/core';
import { RouterLink } from '@angular/router';

import { remote } from '@core/api/remote';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Badge } from '@core/page/badge';
import { CopyId } from '@core/page/copy-id';
import { PageHeader } from '@core/page/page-header';
import { Time } from '@core/time/time';

import { changesBetween, flatten } from './changes';
import { AuditRecord, outcomeTone } from './record';

/** One record: who, what, where from, what changed, and its place in the chain. */
@Component({
  selector: 'nb-record-page',
  imports: [Badge, CopyId, PageHeader, ProblemNotice, RouterLink, Time],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './record-page.html',
  styleUrl: './record-page.scss',
})
export class RecordPage {
  readonly sequence = input.required<string>();

  protected readonly record = remote<AuditRecord>(() => `/audit/records/${this.sequence()}`);
  protected readonly changes = computed(() => {
    const changes = this.record.value()?.changes;
    return changes ? changesBetween(changes.before, changes.after) : [];
  });
  protected readonly details = computed(() => [...flatten(this.record.value()?.details ?? null)]);
  protected readonly tone = outcomeTone;
  protected readonly back = { link: '/audit', label: $localize`Audit` };
}
