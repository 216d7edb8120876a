import { ChangeDetectionStrategy, Component, DestroyRef, computed, inject, signal } from '@angular/core';
import { RouterLink } from '@angular/router';

import { Api, isAbort } from '@core/api/api';
import { action } from '@core/feedback/action';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Icon } from '@core/icon/icon';
import { CopyId } from '@core/page/copy-id';
import { PageHeader } from '@core/page/page-header';
import { Session } from '@core/session/session';
import { duration } from '@core/time/format';

import { AuditTabs } from './audit-tabs';
import { Verification } from './record';

const every = 500; // milliseconds between two looks at a running verification

/** Recomputes the whole chain on the server, shows how far it is, and names every break. */
@Component({
  selector: 'nb-verify-page',
  imports: [AuditTabs, CopyId, Icon, PageHeader, ProblemNotice, RouterLink],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './verify-page.html',
  styleUrl: './verify-page.scss',
})
export class VerifyPage {
  private readonly api = inject(Api);
  private readonly ended = new AbortController();
  private readonly session = inject(Session);

  protected readonly mayVerify = computed(() => this.session.can('audit:chain:verify'));
  protected readonly verifying = action();
  protected readonly cancelling = action('toast');
  protected readonly result = signal<Verification | null>(null);
  protected readonly running = computed(() => this.result()?.state === 'running');
  protected readonly breaks = computed(() => this.result()?.breaks ?? []);
  protected readonly share = computed(() => {
    const { checked = 0, total = 0 } = this.result() ?? {};
    return total > 0 ? Math.min(100, Math.floor((checked * 100) / total)) : 0;
  });

  constructor() {
    inject(DestroyRef).onDestroy(() => this.ended.abort());
  }

  protected async verify(): Promise<void> {
    this.result.set(null);
    await this.verifying.run(async () => {
      const begun = await this.api.post<Verification>('/audit/verify');
      // A small chain is answered at once and not followed.
      const finished = begun.ok !== undefined && begun.state !== 'running';
      this.result.set(finished ? { state: 'done', ...begun } : { checked: 0, ...begun, state: 'running' });
      if (!finished && begun.id) await this.follow(begun.id);
    });
  }

  protected cancel(): Promise<boolean> {
    const id = this.result()?.id;
    return this.cancelling.run(() => (id ? this.api.delete(`/audit/verify/${id}`) : Promise.resolve()));
  }

  protected took(milliseconds: number): string {
    return milliseconds < 1000 ? `${milliseconds} ms` : duration(milliseconds / 1000);
  }

  private async follow(id: string): Promise<void> {
    while (!this.ended.signal.aborted) {
      await new Promise((done) => setTimeout(done, every));
      try {
        this.result.set(await this.api.get<Verification>(`/audit/verify/${id}`, { signal: this.ended.signal }));
      } catch (cause) {
        if (!isAbort(cause)) throw cause;
      }
      if (!this.running()) return;
    }
  }
}
