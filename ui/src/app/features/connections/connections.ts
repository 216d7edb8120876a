import { ChangeDetectionStrategy, Component, inject, signal } from '@angular/core';
import { RouterLink } from '@angular/router';

import { Api } from '@core/api/api';
import { Connection, connectionState } from '@core/connection/connection';
import { Dialogs } from '@core/dialog/dialogs';
import { action } from '@core/feedback/action';
import { Toasts } from '@core/feedback/toasts';
import { Icon } from '@core/icon/icon';
import { keysetList } from '@core/list/keyset-list';
import { Badge } from '@core/page/badge';
import { EmptyState } from '@core/page/empty-state';
import { PageHeader } from '@core/page/page-header';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { rereadWithoutLive } from '@core/realtime/fallback';
import { Realtime } from '@core/realtime/realtime';
import { Session } from '@core/session/session';
import { Commands } from '@core/shortcut/commands';
import { Clock } from '@core/time/clock';
import { Time } from '@core/time/time';

import { AcceptFingerprint } from './accept-fingerprint';
import { AddConnection } from './add-connection';

// After this long without a collection what is shown counts as old.
const staleAfter = 5 * 60_000;

/** The Proxmox clusters that the tenant works on. */
@Component({
  selector: 'nb-connections',
  imports: [Badge, EmptyState, Icon, PageHeader, ProblemNotice, RouterLink, Time],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './connections.html',
  styleUrl: './connections.scss',
})
export class Connections {
  private readonly api = inject(Api);
  private readonly dialogs = inject(Dialogs);
  private readonly toasts = inject(Toasts);
  private readonly clock = inject(Clock);
  protected readonly session = inject(Session);
  protected readonly list = keysetList<Connection>('/connections');
  protected readonly acting = action('toast');
  protected readonly collecting = signal<ReadonlySet<string>>(new Set());
  protected readonly state = connectionState;

  constructor() {
    inject(Realtime).on<Connection>('connection.updated', () => void this.list.reload());
    inject(Realtime).on('inventory.updated', (event) => this.collected(event.id));
    rereadWithoutLive(() => this.list.reload(), 10_000);
    inject(Commands).offer({
      id: 'connection.add',
      label: $localize`Connect a cluster`,
      group: $localize`Connections`,
      icon: 'plus',
      run: () => this.add(),
    });
  }

  protected stale(connection: Connection): boolean {
    const at = connection.collected_at;
    return !at || this.clock.now() - Date.parse(at) > staleAfter;
  }

  protected async add(): Promise<void> {
    const made = await this.dialogs.open<Connection>(AddConnection, undefined, { wide: true });
    if (!made) return;
    this.toasts.done($localize`${made.name} is connected. Its inventory is being read.`);
    await this.list.reload();
  }

  protected async accept(connection: Connection): Promise<void> {
    const accepted = await this.dialogs.open<Connection>(AcceptFingerprint, connection, { wide: true });
    if (accepted) await this.list.reload();
  }

  protected async collect(connection: Connection): Promise<void> {
    this.mark(connection.id, true);
    const asked = await this.acting.run(() => this.api.post(`/connections/${connection.id}/collect`));
    if (!asked) return this.mark(connection.id, false);
    setTimeout(() => this.collected(connection.id), 15_000);
  }

  protected async remove(connection: Connection): Promise<void> {
    const sure = await this.dialogs.confirm({
      heading: $localize`Disconnect ${connection.name}?`,
      text: $localize`The cluster itself is not touched, and its guests keep running. Nimbus forgets its token and its inventory; stacks that live there can no longer be deployed.`,
      verb: $localize`Disconnect`,
      danger: true,
      typed: connection.name,
    });
    if (!sure) return;
    const done = await this.acting.run(() => this.api.delete(`/connections/${connection.id}`));
    if (done) this.toasts.done($localize`${connection.name} is disconnected.`);
    await this.list.reload();
  }

  private collected(id: string): void {
    if (!this.collecting().has(id)) return;
    this.mark(id, false);
    void this.list.reload();
  }

  private mark(id: string, busy: boolean): void {
    this.collecting.update((old) => new Set([...old].filter((each) => each !== id).concat(busy ? id : [])));
  }
}
