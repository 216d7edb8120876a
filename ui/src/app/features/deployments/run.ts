import { ChangeDetectionStrategy, Component, computed, inject, input } from '@angular/core';
import { Router, RouterLink } from '@angular/router';

import { Api } from '@core/api/api';
import { remote } from '@core/api/remote';
import { Deployment, Operation, isOver, operationName, shortType } from '@core/deployment/deployment';
import { DeploymentBadge } from '@core/deployment/deployment-badge';
import { Outputs } from '@core/deployment/outputs';
import { Dialogs } from '@core/dialog/dialogs';
import { action } from '@core/feedback/action';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Icon } from '@core/icon/icon';
import { CopyId } from '@core/page/copy-id';
import { PageHeader } from '@core/page/page-header';
import { rereadWithoutLive } from '@core/realtime/fallback';
import { Realtime } from '@core/realtime/realtime';
import { Session } from '@core/session/session';
import { Time } from '@core/time/time';

import { ApprovalPanel } from './approval-panel';
import { EventLog } from './event-log';
import { PlanView } from './plan-view';
import { Stepper } from './stepper';

/** One run: where it stands, its plan, the decision about it, its log and what came of it. */
@Component({
  selector: 'nb-run',
  imports: [
    ApprovalPanel,
    CopyId,
    DeploymentBadge,
    EventLog,
    Icon,
    Outputs,
    PageHeader,
    PlanView,
    ProblemNotice,
    RouterLink,
    Stepper,
    Time,
  ],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './run.html',
  styleUrl: './run.scss',
})
export class RunPage {
  private readonly api = inject(Api);
  private readonly dialogs = inject(Dialogs);
  private readonly router = inject(Router);
  private readonly session = inject(Session);
  readonly id = input.required<string>();

  protected readonly run = remote<Deployment>(() => `/deployments/${this.id()}`);
  protected readonly running = computed(() => {
    const run = this.run.value();
    return run !== null && !isOver(run.status);
  });
  protected readonly heading = computed(() => {
    const run = this.run.value();
    return run ? `${operationName(run.operation, run.refresh)} · ${run.stack_name}` : $localize`Deployment`;
  });
  protected readonly acting = action();
  protected readonly back = { link: '/deployments', label: $localize`Deployments` };
  protected readonly short = shortType;

  constructor() {
    inject(Realtime).on<Deployment>('deployment.updated', (event) => {
      if (event.id === this.id()) this.take(event.data);
    });
    rereadWithoutLive(() => this.run.reload(), 2_000, this.running);
  }

  /** Whether the signed-in person may start or stop runs like this one. */
  protected readonly mayRun = computed(() => {
    const destroys = this.run.value()?.operation === 'destroy';
    return this.session.can(destroys ? 'deployment:stack:destroy' : 'deployment:stack:deploy');
  });

  protected decided(run: Deployment): void {
    if (run.id === this.id()) this.run.set(run);
  }

  protected async cancel(run: Deployment): Promise<void> {
    const begun = ['applying', 'verifying'].includes(run.status);
    const sure = await this.dialogs.confirm({
      heading: $localize`Cancel this deployment?`,
      text: begun
        ? $localize`The change under way is finished first. Then what this run made is removed again, as far as that goes; what could not be undone is listed here.`
        : $localize`Nothing was changed yet, and nothing will be.`,
      verb: $localize`Cancel deployment`,
      danger: true,
    });
    if (!sure) return;
    await this.acting.run(() => this.api.post(`/deployments/${run.id}/cancel`));
    await this.run.reload();
  }

  /** Starts another run over the same stack and goes there. */
  protected async again(run: Deployment, operation: Operation): Promise<void> {
    const body = { stack_id: run.stack_id, operation, refresh: run.refresh ?? false };
    await this.acting.run(async () => {
      const next = await this.api.post<Deployment>('/deployments', body);
      await this.router.navigate(['/deployments', next.id]);
    });
  }

  // An event carries no plan and is not addressed to one person: it only moves
  // the status on until the answer for this person is there.
  private take(data: Deployment): void {
    const now = this.run.value();
    if (now) this.run.set({ ...now, status: data.status, steps: data.steps });
    void this.run.reload();
  }
}
