import { ChangeDetectionStrategy, Component, inject } from '@angular/core';
import { RouterLink } from '@angular/router';

import { Api } from '@core/api/api';
import { Dialogs } from '@core/dialog/dialogs';
import { action } from '@core/feedback/action';
import { Toasts } from '@core/feedback/toasts';
import { Icon } from '@core/icon/icon';
import { keysetList } from '@core/list/keyset-list';
import { ListFrame } from '@core/list/list-frame';
import { EmptyState } from '@core/page/empty-state';
import { PageHeader } from '@core/page/page-header';
import { GrantChip } from '@core/permission/grant-chip';
import { GrantLimits } from '@core/permission/grant-limits';
import { Session } from '@core/session/session';

import { AnsweredGrant, GrantDialog, GrantQuestion } from './grant-dialog';
import { PermissionTabs } from './permission-tabs';
import { DirectGrant, holderLink, holderName, kindWord } from './role';
import { Vocabulary } from './vocabulary';

/** Grants that people, groups and service accounts have without a role. */
@Component({
  selector: 'nb-direct-grants',
  imports: [EmptyState, GrantChip, GrantLimits, Icon, ListFrame, PageHeader, PermissionTabs, RouterLink],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './direct-grants.html',
  styles: `
    .limits {
      min-width: 14rem;
    }
  `,
})
export class DirectGrants {
  private readonly api = inject(Api);
  private readonly dialogs = inject(Dialogs);
  private readonly toasts = inject(Toasts);
  protected readonly session = inject(Session);
  protected readonly vocabulary = inject(Vocabulary);
  protected readonly list = keysetList<DirectGrant>('/grants');
  protected readonly changing = action('toast');
  protected readonly kind = kindWord;
  protected readonly link = holderLink;
  protected readonly who = holderName;

  protected async give(): Promise<void> {
    const question: GrantQuestion = {
      heading: $localize`New direct grant`,
      verb: $localize`Grant`,
      withSubject: true,
      vocabulary: this.vocabulary,
      send: (grant) => this.api.post('/grants', grant),
    };
    const made = await this.dialogs.open<AnsweredGrant>(GrantDialog, question, { wide: true });
    if (!made) return;
    this.toasts.done($localize`It counts for ${made.subject?.name ?? ''} from the next request on.`);
    await this.list.reload();
  }

  protected async take(one: DirectGrant): Promise<void> {
    const sure = await this.dialogs.confirm({
      heading: $localize`Take this grant from ${holderName(one)}?`,
      text: $localize`${one.permission} is then answered by their roles alone.`,
      verb: $localize`Take the grant`,
      danger: true,
    });
    if (!sure || !(await this.changing.run(() => this.api.delete(`/grants/${one.id}`)))) return;
    await this.list.reload();
  }
}
