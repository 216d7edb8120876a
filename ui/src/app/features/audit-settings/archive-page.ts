import { ChangeDetectionStrategy, Component, inject } from '@angular/core';
import { RouterLink } from '@angular/router';

import { Api } from '@core/api/api';
import { AuditSettingsTabs } from '@core/audit/audit-settings-tabs';
import { action } from '@core/feedback/action';
import { Toasts } from '@core/feedback/toasts';
import { BytesPipe } from '@core/format/bytes';
import { Icon } from '@core/icon/icon';
import { keysetList } from '@core/list/keyset-list';
import { ListFrame } from '@core/list/list-frame';
import { Badge } from '@core/page/badge';
import { EmptyState } from '@core/page/empty-state';
import { PageHeader } from '@core/page/page-header';
import { Session } from '@core/session/session';
import { Time } from '@core/time/time';

import { Segment, segmentAddress, segmentTone, segmentWord } from './archive';
import { ArchiveTargetCard } from './archive-target';

/** The archive: where copies go, and the segments that are there. */
@Component({
  selector: 'nb-archive-page',
  imports: [ArchiveTargetCard, AuditSettingsTabs, Badge, BytesPipe, EmptyState, Icon, ListFrame, PageHeader, RouterLink, Time],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './archive-page.html',
  styles: `
    .page {
      gap: var(--s5);
    }
    nb-archive-target {
      max-width: 46rem;
    }
    .error {
      max-width: 22rem;
      color: var(--bad);
    }
    h2 {
      margin-bottom: calc(var(--s2) * -1);
    }
  `,
})
export class ArchivePage {
  private readonly api = inject(Api);
  private readonly toasts = inject(Toasts);
  protected readonly session = inject(Session);
  protected readonly list = keysetList<Segment>('/audit/archive/segments');
  protected readonly running = action('toast');
  protected readonly word = segmentWord;
  protected readonly tone = segmentTone;
  protected readonly address = segmentAddress;

  protected async run(): Promise<void> {
    if (!(await this.running.run(() => this.api.post('/audit/archive/run')))) return;
    this.toasts.done($localize`Started. New segments appear here as they are written and verified.`);
    setTimeout(() => void this.list.reload(), 3000);
  }
}
