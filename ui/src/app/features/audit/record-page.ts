import { ChangeDetectionStrategy, Component, computed, input } from '@angular/core';
import { RouterLink } from '@angular/router';

import { Page } from '@core/api/api';
import { remote } from '@core/api/remote';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { saveFile } from '@core/file/save-file';
import { Icon } from '@core/icon/icon';
import { Badge } from '@core/page/badge';
import { CopyId } from '@core/page/copy-id';
import { PageHeader } from '@core/page/page-header';
import { Time } from '@core/time/time';

import { flatten } from './changes';
import { DiffView } from './diff-view';
import { ProofPanel } from './proof-panel';
import { ArchiveSegment, AuditRecord, outcomeTone, targetName } from './record';

/** One record: who, what, where from, what changed, and its place in the chain. */
@Component({
  selector: 'nb-record-page',
  imports: [Badge, CopyId, DiffView, Icon, PageHeader, ProblemNotice, ProofPanel, RouterLink, Time],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './record-page.html',
  styleUrl: './record-page.scss',
})
export class RecordPage {
  readonly sequence = input.required<string>();

  protected readonly record = remote<AuditRecord>(() => `/audit/records/${this.sequence()}`);
  protected readonly segments = remote<Page<ArchiveSegment>>(() =>
    this.record.value()?.pruned ? '/audit/archive/segments' : null,
  );
  /** Where a record lies that is not in the database any more. */
  protected readonly segment = computed(() => {
    const at = this.record.value()?.sequence ?? 0;
    return this.segments.value()?.items.find((each) => each.first <= at && at <= each.last) ?? null;
  });
  protected readonly title = computed(() => this.record.value()?.event || $localize`Record ${this.sequence()}`);
  protected readonly details = computed(() => [...flatten(this.record.value()?.details ?? null)]);
  protected readonly tone = outcomeTone;
  protected readonly called = targetName;
  protected readonly back = { link: '/audit', label: $localize`Audit` };

  protected bytes(text: string): number {
    return new TextEncoder().encode(text).length;
  }

  protected keep(record: AuditRecord): void {
    saveFile(`audit-record-${record.sequence}.json`, record.body ?? '');
  }
}
