import { ChangeDetectionStrategy, Component, computed, inject, input, signal } from '@angular/core';
import { RouterLink } from '@angular/router';

import { Icon } from '@core/icon/icon';
import { CopyBlock } from '@core/page/copy-block';
import { Session } from '@core/session/session';
import { Time } from '@core/time/time';

import { TenantChecklist } from '../tenant-checklist';
import { Onboarded } from './request';

/** What came of it: what must be copied now, what the identity provider wants to know, what is left. */
@Component({
  selector: 'nb-onboarding-result',
  imports: [CopyBlock, Icon, RouterLink, TenantChecklist, Time],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './onboarding-result.html',
  styleUrl: './onboarding-result.scss',
})
export class OnboardingResult {
  private readonly session = inject(Session);

  readonly result = input.required<Onboarded>();

  protected readonly copied = signal(false);
  /** Something is told only this once. */
  protected readonly once = computed(() => Boolean(this.result().invitation ?? this.result().scim_token));
  /** Whether leaving would lose something. */
  readonly open = computed(() => this.once() && !this.copied());
  protected readonly scimAddress = computed(
    () => `${(this.session.current()?.appliance.url ?? location.origin).replace(/\/$/, '')}/scim/v2`,
  );
}
