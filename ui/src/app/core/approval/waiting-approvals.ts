import { Injectable, computed, effect, inject, signal, untracked } from '@angular/core';

import { Api, Page } from '../api/api';
import type { Deployment } from '../deployment/deployment';
import { Realtime } from '../realtime/realtime';
import { Session } from '../session/session';

/** How many plans wait for the signed-in person; the side navigation shows it. */
@Injectable({ providedIn: 'root' })
export class WaitingApprovals {
  private readonly api = inject(Api);
  private readonly session = inject(Session);
  private readonly waiting = signal<readonly Deployment[]>([]);

  /** Plans that the signed-in person may decide about. */
  readonly mine = computed(() => this.waiting().filter((one) => one.approval?.can_decide).length);

  constructor() {
    const realtime = inject(Realtime);
    realtime.on('approval.requested', () => this.read());
    realtime.on('deployment.updated', () => this.read());
    effect(() => {
      realtime.reconnected();
      const tenant = this.session.tenant();
      untracked(() => (tenant ? this.read() : this.waiting.set([])));
    });
  }

  private read(): void {
    if (!this.session.can('deployment:stack:read')) return this.waiting.set([]);
    this.api.get<Page<Deployment>>('/approvals').then(
      (page) => this.waiting.set(page.items),
      () => undefined,
    );
  }
}
