import { Injectable, computed, effect, inject, signal, untracked } from '@angular/core';

import { Api, Page } from '../api/api';
import { Realtime } from '../realtime/realtime';
import { Session } from '../session/session';

const most = 99;
const every = 5 * 60_000;

/** How many findings about the audit trail are open; the side navigation shows it. */
@Injectable({ providedIn: 'root' })
export class OpenAnomalies {
  private readonly api = inject(Api);
  private readonly session = inject(Session);
  private readonly open = signal(0);

  /** At most one more than is written out. */
  readonly count = this.open.asReadonly();
  readonly text = computed(() => (this.open() > most ? `${most}+` : String(this.open())));

  constructor() {
    const realtime = inject(Realtime);
    realtime.on('audit.anomaly', () => this.read());
    effect(() => {
      realtime.reconnected();
      const tenant = this.session.tenant();
      untracked(() => (tenant ? this.read() : this.open.set(0)));
    });
    setInterval(() => this.session.signedIn() && this.read(), every);
  }

  /** Counts again; to be called after a decision. */
  read(): void {
    if (!this.session.can('audit:anomaly:read')) return this.open.set(0);
    this.api.get<Page<unknown>>('/audit/anomalies', { query: { state: 'open', limit: most + 1 } }).then(
      (page) => this.open.set(page.items.length),
      () => undefined,
    );
  }
}
