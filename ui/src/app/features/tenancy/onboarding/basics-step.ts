import { ChangeDetectionStrategy, Component, computed, inject } from '@angular/core';
import { toSignal } from '@angular/core/rxjs-interop';
import { ReactiveFormsModule } from '@angular/forms';

import { Page } from '@core/api/api';
import { remote } from '@core/api/remote';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Choice, Option } from '@core/form/choice';
import { Field, FieldInput } from '@core/form/field';
import { PasswordStrength } from '@core/form/password-strength';
import { Session } from '@core/session/session';
import { treeRows } from '@core/tree/tree';

import { Tenant, tenantLevels } from '../tenant';
import { Onboarding } from './onboarding';
import { Answers } from './request';

/** Step 1: name, place, contact and the first administrator. */
@Component({
  selector: 'nb-basics-step',
  imports: [Choice, Field, FieldInput, PasswordStrength, ProblemNotice, ReactiveFormsModule],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './basics-step.html',
})
export class BasicsStep {
  private readonly session = inject(Session);
  protected readonly onboarding = inject(Onboarding);
  protected readonly sending = this.onboarding.basicsSubmit;
  protected readonly tenants = remote<Page<Tenant>>(() => '/tenants');
  protected readonly way = toSignal(this.onboarding.administrator.controls.way.valueChanges, {
    initialValue: this.onboarding.administrator.controls.way.value,
  });

  /** Tenants that can have one more level below them. */
  protected readonly parents = computed(() =>
    treeRows(this.tenants.value()?.items ?? [])
      .filter((row) => row.item.status === 'active' && row.depth + 1 < tenantLevels)
      .map(({ item, depth }) => ({ id: item.id, label: `${'\u2003'.repeat(depth)}${item.name}` })),
  );
  protected readonly own = computed(() => $localize`The one you work in: ${this.session.tenant()?.name ?? ''}`);
  protected readonly ways: readonly Option<Answers['administrator']['way']>[] = [
    {
      value: 'invite',
      label: $localize`Invite`,
      text: $localize`You get a link to pass on; the person chooses a password or signs in with your identity provider.`,
    },
    {
      value: 'password',
      label: $localize`Make an account with a first password`,
      text: $localize`You tell the password in person.`,
    },
    {
      value: 'later',
      label: $localize`Later`,
      text: $localize`Until then only people of the tenants above look after it.`,
    },
  ];

  protected choose(way: Answers['administrator']['way']): void {
    this.onboarding.administrator.controls.way.setValue(way);
  }

  protected next(): void {
    if (this.sending.ready()) this.onboarding.next('basics');
  }
}
