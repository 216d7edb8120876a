import { ChangeDetectionStrategy, Component, computed, inject } from '@angular/core';

import { Api } from '@core/api/api';
import { Dialogs } from '@core/dialog/dialogs';
import { action } from '@core/feedback/action';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { BytesPipe } from '@core/format/bytes';
import { Icon } from '@core/icon/icon';
import { ListFrame } from '@core/list/list-frame';
import { wholeList } from '@core/list/whole-list';
import { Badge, Tone } from '@core/page/badge';
import { CopyBlock } from '@core/page/copy-block';
import { CopyId } from '@core/page/copy-id';
import { EmptyState } from '@core/page/empty-state';
import { PageHeader } from '@core/page/page-header';
import { Session } from '@core/session/session';
import { Time } from '@core/time/time';

import { AuditTabs } from './audit-tabs';
import { AuditExport } from './record';
import { rereadWhile } from '@core/api/reread';

const tones: Record<AuditExport['state'], Tone> = { running: 'busy', done: 'good', failed: 'bad', cancelled: 'plain' };
const words: Record<AuditExport['state'], string> = {
  running: $localize`running`,
  done: $localize`done`,
  failed: $localize`failed`,
  cancelled: $localize`cancelled`,
};

/** Files with records of the trail: how far they are, and where they can be had. */
@Component({
  selector: 'nb-exports-page',
  imports: [AuditTabs, Badge, BytesPipe, CopyBlock, CopyId, EmptyState, Icon, ListFrame, PageHeader, ProblemNotice, Time],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './exports-page.html',
  styleUrl: './exports-page.scss',
})
export class ExportsPage {
  private readonly api = inject(Api);
  private readonly dialogs = inject(Dialogs);
  private readonly session = inject(Session);

  protected readonly list = wholeList<AuditExport>(() => '/audit/exports');
  protected readonly mayExport = computed(() => this.session.can('audit:export:create'));
  protected readonly starting = action();
  protected readonly removing = action('toast');
  protected readonly tones = tones;
  protected readonly words = words;
  protected readonly command = 'nimbus-verify --key audit.vkey audit-export.jsonl';

  constructor() {
    rereadWhile(() => this.list.items().some((each) => each.state === 'running'), () => this.list.reload());
  }

  protected async start(format: 'jsonl' | 'csv'): Promise<void> {
    await this.starting.run(() => this.api.post('/audit/exports', { format, filter: {} }));
    await this.list.reload();
  }

  protected share(each: AuditExport): number {
    return each.total > 0 ? Math.min(100, Math.floor((each.position * 100) / each.total)) : 0;
  }

  protected wanted(each: AuditExport): string {
    const entries = Object.entries(each.filter ?? {}).filter(([, value]) => value !== null && String(value) !== '');
    return entries.map(([name, value]) => `${name}: ${String(value)}`).join(', ') || $localize`everything`;
  }

  protected address(each: AuditExport, part: 'content' | 'proof'): string {
    return `/v1/audit/exports/${each.id}/${part}`;
  }

  protected async remove(each: AuditExport): Promise<void> {
    const runs = each.state === 'running';
    const sure = await this.dialogs.confirm({
      heading: runs ? $localize`Cancel this export?` : $localize`Delete this export?`,
      text: runs
        ? $localize`What was written is thrown away. The records stay as they are.`
        : $localize`The file is deleted from the appliance. The records stay as they are.`,
      verb: runs ? $localize`Cancel the export` : $localize`Delete`,
      danger: true,
    });
    if (!sure) return;
    await this.removing.run(() => this.api.delete(`/audit/exports/${each.id}`));
    await this.list.reload();
  }
}
