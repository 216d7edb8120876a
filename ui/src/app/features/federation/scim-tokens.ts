import { ChangeDetectionStrategy, Component, inject } from '@angular/core';

import { Api } from '@core/api/api';
import { Dialogs } from '@core/dialog/dialogs';
import { action } from '@core/feedback/action';
import { Icon } from '@core/icon/icon';
import { keysetList } from '@core/list/keyset-list';
import { ListFrame } from '@core/list/list-frame';
import { CopyBlock } from '@core/page/copy-block';
import { EmptyState } from '@core/page/empty-state';
import { PageHeader } from '@core/page/page-header';
import { Session } from '@core/session/session';
import { Time } from '@core/time/time';

import { CreateScimToken } from './create-scim-token';
import { FederationTabs } from './federation-tabs';

interface ScimToken {
  id: string;
  name: string;
  created_at: string;
  last_used_at: string | null;
  expires_at: string;
}

/** Tokens with which a directory provisions people and groups by SCIM, and how to set it up there. */
@Component({
  selector: 'nb-scim-tokens',
  imports: [CopyBlock, EmptyState, FederationTabs, Icon, ListFrame, PageHeader, Time],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './scim-tokens.html',
  styleUrl: './scim-tokens.scss',
})
export class ScimTokens {
  private readonly api = inject(Api);
  private readonly dialogs = inject(Dialogs);
  protected readonly session = inject(Session);
  protected readonly list = keysetList<ScimToken>('/scim-tokens');
  protected readonly changing = action('toast');
  protected readonly base = `${location.origin}/scim/v2`;

  protected async create(): Promise<void> {
    await this.dialogs.open(CreateScimToken);
    await this.list.reload();
  }

  protected over(token: ScimToken): boolean {
    return Date.parse(token.expires_at) <= Date.now();
  }

  protected async end(token: ScimToken): Promise<void> {
    const sure = await this.dialogs.confirm({
      heading: $localize`End the token ${token.name}?`,
      text: $localize`The directory that uses it is refused from the next request on. People and groups that it made stay.`,
      verb: $localize`End token`,
      danger: true,
    });
    if (!sure || !(await this.changing.run(() => this.api.delete(`/scim-tokens/${token.id}`)))) return;
    await this.list.reload();
  }
}
