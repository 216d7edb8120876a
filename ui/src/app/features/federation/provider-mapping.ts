import { ChangeDetectionStrategy, Component, effect, inject, input, signal, untracked } from '@angular/core';
import { FormControl, FormGroup, ReactiveFormsModule } from '@angular/forms';

import { ProblemNotice } from '@core/feedback/problem-notice';
import { Field, FieldInput } from '@core/form/field';
import { submit } from '@core/form/submit';
import { Icon } from '@core/icon/icon';
import { wholeList } from '@core/list/whole-list';

import { Provider } from './provider';
import { ProviderStore } from './provider-store';
import { RuleDraft, fromDraft, ruleProblem, toDraft } from './rule';

interface Named {
  id: string;
  name: string;
}

/** Which claims say who somebody is, and which of their values give which role or group. */
@Component({
  selector: 'nb-provider-mapping',
  imports: [Field, FieldInput, Icon, ProblemNotice, ReactiveFormsModule],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './provider-mapping.html',
  styleUrl: './provider-part.scss',
})
export class ProviderMapping {
  private readonly store = inject(ProviderStore);
  readonly provider = input.required<Provider>();

  protected readonly roles = wholeList<Named>(() => '/roles');
  protected readonly groups = wholeList<Named>(() => '/groups');
  protected readonly rules = signal<readonly RuleDraft[]>([]);
  protected readonly tried = signal(false);
  protected readonly form = new FormGroup({
    subject_claim: new FormControl('', { nonNullable: true }),
    email_claim: new FormControl('', { nonNullable: true }),
    name_claim: new FormControl('', { nonNullable: true }),
    groups_claim: new FormControl('', { nonNullable: true }),
  });
  protected readonly sending = submit(this.form);

  constructor() {
    effect(() => {
      const { mapping, subject_claim, email_claim, name_claim, groups_claim } = this.provider();
      untracked(() => {
        this.form.reset({ subject_claim: subject_claim ?? '', email_claim: email_claim ?? '', name_claim: name_claim ?? '', groups_claim: groups_claim ?? '' });
        this.rules.set((mapping ?? []).map(toDraft));
        this.tried.set(false);
      });
    });
  }

  protected add(): void {
    const claim = this.rules().at(-1)?.claim ?? (this.form.controls.groups_claim.value || 'groups');
    this.rules.update((old) => [...old, { claim, match: 'value', text: '', gives: '' }]);
  }

  protected remove(at: number): void {
    this.rules.update((old) => old.filter((_, index) => index !== at));
  }

  protected set(at: number, change: Partial<RuleDraft>): void {
    this.rules.update((old) => old.map((one, index) => (index === at ? { ...one, ...change } : one)));
  }

  protected ruleLabel(at: number): string {
    return $localize`Rule ${at + 1}`;
  }

  protected wrong(rule: RuleDraft): string {
    return this.tried() ? ruleProblem(rule) : '';
  }

  protected async send(): Promise<void> {
    this.tried.set(true);
    if (this.rules().some(ruleProblem)) return;
    const mapping = this.rules().map(fromDraft);
    await this.sending.run(() => this.store.change({ ...this.form.getRawValue(), mapping }));
  }
}
