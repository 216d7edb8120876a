import { ChangeDetectionStrategy, Component, inject } from '@angular/core';
import { RouterLink } from '@angular/router';

import { Icon } from '@core/icon/icon';
import { keysetList } from '@core/list/keyset-list';
import { ListFrame } from '@core/list/list-frame';
import { Badge } from '@core/page/badge';
import { EmptyState } from '@core/page/empty-state';
import { PageHeader } from '@core/page/page-header';
import { Session } from '@core/session/session';
import { Time } from '@core/time/time';

import { FederationTabs } from './federation-tabs';
import { PrivateRanges } from './private-ranges';
import { Provider, protocolWord } from './provider';

/** Where the people of this tenant can sign in instead of here. */
@Component({
  selector: 'nb-providers',
  imports: [Badge, EmptyState, FederationTabs, Icon, ListFrame, PageHeader, PrivateRanges, RouterLink, Time],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './providers.html',
})
export class Providers {
  protected readonly session = inject(Session);
  protected readonly list = keysetList<Provider>('/identity-providers');
  protected readonly protocol = protocolWord;
}
