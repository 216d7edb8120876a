import { ChangeDetectionStrategy, Component, computed, inject } from '@angular/core';

import { AuditSettingsTabs } from '@core/audit/audit-settings-tabs';
import { Dialogs } from '@core/dialog/dialogs';
import { Toasts } from '@core/feedback/toasts';
import { Icon } from '@core/icon/icon';
import { keysetList } from '@core/list/keyset-list';
import { ListFrame } from '@core/list/list-frame';
import { Badge } from '@core/page/badge';
import { EmptyState } from '@core/page/empty-state';
import { PageHeader } from '@core/page/page-header';
import { Session } from '@core/session/session';
import { Time } from '@core/time/time';

import { CreateHold } from './create-hold';
import { Hold, personName } from './hold';
import { ReleaseHold } from './release-hold';

/** The legal holds of the tenant: which records stay, why, and who said so. */
@Component({
  selector: 'nb-holds',
  imports: [AuditSettingsTabs, Badge, EmptyState, Icon, ListFrame, PageHeader, Time],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './holds.html',
  styles: `
    .why {
      min-width: 15rem;
    }
    .released {
      color: var(--ink-soft);
    }
  `,
})
export class Holds {
  private readonly dialogs = inject(Dialogs);
  private readonly toasts = inject(Toasts);
  protected readonly session = inject(Session);
  protected readonly list = keysetList<Hold>('/audit/holds');
  protected readonly active = computed(() => this.list.items().filter((one) => !one.released_at).length);
  protected readonly personName = personName;

  protected filters(hold: Hold): { word: string; value: string }[] {
    const { event, actor, target } = hold.filter ?? {};
    return [
      { word: $localize`event`, value: event ?? '' },
      { word: $localize`who`, value: actor ?? '' },
      { word: $localize`target`, value: target ?? '' },
    ].filter((one) => one.value !== '');
  }

  protected async create(): Promise<void> {
    if (!(await this.dialogs.open<boolean>(CreateHold))) return;
    this.toasts.done($localize`Held. These records stay until the hold is released.`);
    await this.list.reload();
  }

  protected async release(hold: Hold): Promise<void> {
    if (!(await this.dialogs.open<boolean, Hold>(ReleaseHold, hold))) return;
    this.toasts.done($localize`Released. The retention counts again for these records.`);
    await this.list.reload();
  }
}
