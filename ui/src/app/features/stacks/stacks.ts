import { ChangeDetectionStrategy, Component, inject } from '@angular/core';
import { RouterLink } from '@angular/router';

import { Connection } from '@core/connection/connection';
import { Icon } from '@core/icon/icon';
import { keysetList } from '@core/list/keyset-list';
import { ListFrame } from '@core/list/list-frame';
import { Badge } from '@core/page/badge';
import { EmptyState } from '@core/page/empty-state';
import { PageHeader } from '@core/page/page-header';
import { rereadWithoutLive } from '@core/realtime/fallback';
import { Realtime } from '@core/realtime/realtime';
import { Session } from '@core/session/session';
import { Time } from '@core/time/time';

import { Stack, stackState } from './stack';

/** The stacks of the tenant. */
@Component({
  selector: 'nb-stacks',
  imports: [Badge, EmptyState, Icon, ListFrame, PageHeader, RouterLink, Time],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './stacks.html',
})
export class Stacks {
  protected readonly session = inject(Session);
  protected readonly list = keysetList<Stack>('/stacks');
  protected readonly connections = keysetList<Connection>('/connections');
  protected readonly state = stackState;

  constructor() {
    const realtime = inject(Realtime);
    realtime.on('stack.updated', () => void this.list.reload());
    realtime.on('deployment.updated', () => void this.list.reload());
    rereadWithoutLive(() => this.list.reload(), 10_000);
  }

  protected cluster(stack: Stack): string {
    return this.connections.items().find((one) => one.id === stack.connection_id)?.name ?? '–';
  }
}
