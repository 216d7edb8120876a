import { ChangeDetectionStrategy, Component, effect, inject, input, signal, untracked } from '@angular/core';
import { FormControl, FormGroup, ReactiveFormsModule } from '@angular/forms';

import { ProblemNotice } from '@core/feedback/problem-notice';
import { Field, FieldInput } from '@core/form/field';
import { PickList } from '@core/form/pick-list';
import { submit } from '@core/form/submit';
import { wholeList } from '@core/list/whole-list';

import { Jit, Provider } from './provider';
import { ProviderStore } from './provider-store';

/** Who comes in by the provider, and what everybody gets who does. */
@Component({
  selector: 'nb-provider-people',
  imports: [Field, FieldInput, PickList, ProblemNotice, ReactiveFormsModule],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './provider-people.html',
  styleUrl: './provider-part.scss',
})
export class ProviderPeople {
  private readonly store = inject(ProviderStore);
  readonly provider = input.required<Provider>();

  protected readonly roles = wholeList<{ id: string; name: string; description: string }>(() => '/roles');
  protected readonly chosen = signal<ReadonlySet<string>>(new Set());
  protected readonly form = new FormGroup({
    users: new FormControl(false, { nonNullable: true }),
    groups: new FormControl(false, { nonNullable: true }),
    link_by_email: new FormControl<Jit['link_by_email']>('never', { nonNullable: true }),
    trust_mfa: new FormControl(false, { nonNullable: true }),
  });
  protected readonly sending = submit(this.form);

  constructor() {
    effect(() => {
      const { jit, trust_mfa, default_role_ids } = this.provider();
      untracked(() => {
        this.form.reset({ ...jit, trust_mfa: trust_mfa ?? false });
        this.chosen.set(new Set(default_role_ids ?? []));
      });
    });
  }

  protected async send(): Promise<void> {
    const { trust_mfa, ...jit } = this.form.getRawValue();
    const default_role_ids = [...this.chosen()];
    await this.sending.run(() => this.store.change({ jit, trust_mfa, default_role_ids }));
  }
}
