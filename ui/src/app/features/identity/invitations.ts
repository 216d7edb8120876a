import { ChangeDetectionStrategy, Component, inject } from '@angular/core';

import { Api } from '@core/api/api';
import { Dialogs } from '@core/dialog/dialogs';
import { action } from '@core/feedback/action';
import { Toasts } from '@core/feedback/toasts';
import { Icon } from '@core/icon/icon';
import { keysetList } from '@core/list/keyset-list';
import { ListFrame } from '@core/list/list-frame';
import { Badge } from '@core/page/badge';
import { EmptyState } from '@core/page/empty-state';
import { PageHeader } from '@core/page/page-header';
import { Session } from '@core/session/session';
import { Clock } from '@core/time/clock';
import { Time } from '@core/time/time';

import { CreateInvitation } from './create-invitation';
import { Invitation } from './invitation';
import { PeopleTabs } from './people-tabs';

/** Those who were invited and have not come yet. */
@Component({
  selector: 'nb-invitations',
  imports: [Badge, EmptyState, Icon, ListFrame, PageHeader, PeopleTabs, Time],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './invitations.html',
  styleUrl: './people.scss',
})
export class Invitations {
  private readonly api = inject(Api);
  private readonly clock = inject(Clock);
  private readonly dialogs = inject(Dialogs);
  private readonly toasts = inject(Toasts);
  protected readonly session = inject(Session);
  protected readonly list = keysetList<Invitation>('/invitations', () => ({}), 'after');
  protected readonly changing = action('toast');

  protected expired(one: Invitation): boolean {
    return new Date(one.expires_at).getTime() <= this.clock.now();
  }

  protected async invite(): Promise<void> {
    await this.dialogs.open(CreateInvitation);
    await this.list.reload();
  }

  protected async withdraw(one: Invitation): Promise<void> {
    const sure = await this.dialogs.confirm({
      heading: $localize`Withdraw the invitation for ${one.email}?`,
      text: $localize`The link stops working at once. You can invite again with a new one.`,
      verb: $localize`Withdraw`,
      danger: true,
    });
    if (!sure || !(await this.changing.run(() => this.api.delete(`/invitations/${one.id}`)))) return;
    this.toasts.done($localize`The invitation is withdrawn.`);
    await this.list.reload();
  }
}
