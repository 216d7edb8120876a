import { ChangeDetectionStrategy, Component, computed, inject, input, output, signal } from '@angular/core';

import { Api } from '@core/api/api';
import { Deployment } from '@core/deployment/deployment';
import { action } from '@core/feedback/action';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Field, FieldInput } from '@core/form/field';
import { Icon } from '@core/icon/icon';
import { Session } from '@core/session/session';
import { Time } from '@core/time/time';

/**
 * The decision about a plan. It is sent with the digest of the plan that is on
 * the screen, so that a plan that has changed since is not approved.
 */
@Component({
  selector: 'nb-approval',
  imports: [Field, FieldInput, Icon, ProblemNotice, Time],
  changeDetection: ChangeDetectionStrategy.OnPush,
  host: { class: 'card' },
  templateUrl: './approval-panel.html',
  styleUrl: './approval-panel.scss',
})
export class ApprovalPanel {
  private readonly api = inject(Api);
  private readonly session = inject(Session);
  readonly deployment = input.required<Deployment>();
  readonly decided = output<Deployment>();
  /** The plan on the screen may be old. */
  readonly outdated = output();

  protected readonly deciding = action();
  protected readonly comment = signal('');
  protected readonly understood = signal(false);
  protected readonly approval = computed(() => this.deployment().approval);
  protected readonly destructive = computed(() => this.deployment().plan?.destructive ?? false);
  protected readonly ready = computed(() => !this.destructive() || this.understood());

  /** Why the signed-in person cannot decide, as a sentence. */
  protected readonly why = computed(() => {
    const approval = this.approval();
    if (!this.session.can('deployment:stack:approve')) {
      return $localize`Your roles do not include deployment:stack:approve. Somebody who has it must decide; you can still read the plan.`;
    }
    if (approval?.self && approval.policy === 'second_person') {
      return $localize`You asked for this yourself, and this tenant wants a second person. Ask somebody with deployment:stack:approve to read the plan; it is in their approvals.`;
    }
    return $localize`You decided about this plan already. Somebody else has to decide as well.`;
  });

  protected decide(verdict: 'approve' | 'reject'): Promise<boolean> {
    return this.deciding.run(async () => {
      const { id, plan } = this.deployment();
      const comment = this.comment().trim();
      const body = verdict === 'approve' ? { digest: plan?.digest, comment } : { comment };
      try {
        this.decided.emit(await this.api.post<Deployment>(`/deployments/${id}/${verdict}`, body));
      } finally {
        this.outdated.emit();
      }
    });
  }
}
