import { ChangeDetectionStrategy, Component, computed, inject } from '@angular/core';

import { Api } from '@core/api/api';
import { remote } from '@core/api/remote';
import { Dialogs } from '@core/dialog/dialogs';
import { action } from '@core/feedback/action';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Toasts } from '@core/feedback/toasts';
import { Icon } from '@core/icon/icon';
import { Badge, Tone } from '@core/page/badge';
import { EmptyState } from '@core/page/empty-state';
import { PageHeader } from '@core/page/page-header';
import { Realtime } from '@core/realtime/realtime';
import { BreakglassRef, Session } from '@core/session/session';
import { Clock } from '@core/time/clock';
import { duration } from '@core/time/format';
import { Time } from '@core/time/time';

import { ApproveBreakglass } from './approve-breakglass';
import { RequestBreakglass } from './request-breakglass';

/** A person by name. */
interface PersonRef {
  id: string;
  name: string;
}

/** A request to break the glass, with who has approved it. */
export interface BreakglassRequest {
  id: string;
  reason: string;
  minutes: number;
  requested_by: PersonRef;
  created_at: string;
  approvals: { user: PersonRef; at: string }[];
  needed: number;
  status: 'pending' | 'open' | 'ended' | 'expired' | 'refused';
  opened_at: string | null;
  ends_at: string | null;
  ended_at: string | null;
}

/** The hardware token, what is open, and the requests, newest first. */
interface BreakglassView {
  hsm: { state: string; reason: string; label: string; key_type: string };
  active: BreakglassRef | null;
  requests: BreakglassRequest[];
}

/** Emergency access: ask, approve with a second person, end. */
@Component({
  selector: 'nb-breakglass',
  imports: [Badge, EmptyState, Icon, PageHeader, ProblemNotice, Time],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './breakglass.html',
  styleUrl: './breakglass.scss',
})
export class BreakglassPage {
  private readonly api = inject(Api);
  private readonly dialogs = inject(Dialogs);
  private readonly toasts = inject(Toasts);
  private readonly clock = inject(Clock);
  protected readonly session = inject(Session);
  protected readonly view = remote<BreakglassView>(() => '/breakglass');
  protected readonly ending = action('toast');
  protected readonly current = computed(() =>
    (this.view.value()?.requests ?? []).filter((one) => one.status === 'pending' || one.status === 'open'),
  );
  protected readonly past = computed(() =>
    (this.view.value()?.requests ?? []).filter((one) => !this.current().includes(one)),
  );

  constructor() {
    const realtime = inject(Realtime);
    realtime.on('breakglass.opened', () => void this.view.reload());
    realtime.on('breakglass.ended', () => void this.view.reload());
  }

  protected async request(): Promise<void> {
    if (await this.dialogs.open<boolean>(RequestBreakglass)) await this.changed();
  }

  protected async approve(request: BreakglassRequest): Promise<void> {
    if (await this.dialogs.open<boolean>(ApproveBreakglass, request)) await this.changed();
  }

  protected async end(request: BreakglassRequest): Promise<void> {
    const done = await this.ending.run(() => this.api.post(`/breakglass/requests/${request.id}/end`));
    if (!done) return;
    this.toasts.done($localize`Break-glass has ended. The record of it stays in the audit chain.`);
    await this.changed();
  }

  protected approvedByMe(request: BreakglassRequest): boolean {
    return request.approvals.some((approval) => approval.user.id === this.session.user()?.id);
  }

  protected left(request: BreakglassRequest): string {
    return request.ends_at ? duration((Date.parse(request.ends_at) - this.clock.now()) / 1000) : '';
  }

  protected hsmTone(state: string): Tone {
    if (state === 'ready' || state === 'ok') return 'good';
    return state === 'none' ? 'plain' : 'bad';
  }

  protected statusWord(status: BreakglassRequest['status']): string {
    const words = {
      pending: $localize`waiting for approvers`,
      open: $localize`open`,
      ended: $localize`ended`,
      expired: $localize`expired`,
      refused: $localize`refused`,
    };
    return words[status];
  }

  private async changed(): Promise<void> {
    await Promise.all([this.view.reload(), this.session.refresh().catch(() => undefined)]);
  }
}
