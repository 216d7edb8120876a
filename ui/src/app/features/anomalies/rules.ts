import { ChangeDetectionStrategy, Component, computed, inject, linkedSignal } from '@angular/core';

import { Api, Page } from '@core/api/api';
import { remote } from '@core/api/remote';
import { action } from '@core/feedback/action';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Toasts } from '@core/feedback/toasts';
import { Field, FieldInput } from '@core/form/field';
import { PageHeader } from '@core/page/page-header';
import { Session } from '@core/session/session';

import { AnomalyRule, kindText, kindWord, parameterWord } from './anomaly';
import { AnomalyTabs } from './anomaly-tabs';

/** What counts as unusual in this tenant. */
@Component({
  selector: 'nb-anomaly-rules',
  imports: [AnomalyTabs, Field, FieldInput, PageHeader, ProblemNotice],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './rules.html',
  styleUrl: './rules.scss',
})
export class AnomalyRules {
  private readonly api = inject(Api);
  private readonly toasts = inject(Toasts);
  protected readonly session = inject(Session);
  protected readonly told = remote<Page<AnomalyRule>>(() => '/audit/anomalies/rules');
  protected readonly rules = linkedSignal(() => this.told.value()?.items ?? []);
  protected readonly changed = computed(() => JSON.stringify(this.rules()) !== JSON.stringify(this.told.value()?.items ?? []));
  protected readonly saving = action();
  protected readonly mayEdit = this.session.can('audit:anomaly:update');
  protected readonly kindWord = kindWord;
  protected readonly kindText = kindText;
  protected readonly parameterWord = parameterWord;
  protected readonly names = (rule: AnomalyRule) => Object.keys(rule.parameters);

  protected enable(kind: string, enabled: boolean): void {
    this.rules.update((all) => all.map((one) => (one.kind === kind ? { ...one, enabled } : one)));
  }

  protected set(kind: string, name: string, text: string): void {
    const value = Math.trunc(Number(text));
    if (text.trim() === '' || !Number.isFinite(value)) return;
    this.rules.update((all) =>
      all.map((one) => (one.kind === kind ? { ...one, parameters: { ...one.parameters, [name]: value } } : one)),
    );
  }

  protected undo(): void {
    this.rules.set(this.told.value()?.items ?? []);
    this.saving.clear();
  }

  protected async save(): Promise<void> {
    await this.saving.run(async () => {
      this.told.set(await this.api.put<Page<AnomalyRule>>('/audit/anomalies/rules', { items: this.rules() }));
      this.toasts.done($localize`Saved. It counts from the next look on.`);
    });
  }
}
