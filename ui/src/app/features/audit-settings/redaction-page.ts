import { ChangeDetectionStrategy, Component, computed, inject, linkedSignal, signal } from '@angular/core';

import { Api } from '@core/api/api';
import { answered } from '@core/api/answered';
import { remote } from '@core/api/remote';
import { AuditSettingsTabs } from '@core/audit/audit-settings-tabs';
import { EventList } from '@core/audit/event-list';
import { action } from '@core/feedback/action';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Toasts } from '@core/feedback/toasts';
import { Field, FieldInput } from '@core/form/field';
import { Icon } from '@core/icon/icon';
import { PageHeader } from '@core/page/page-header';
import { Session } from '@core/session/session';

import { Redaction, RedactionRule, eventOf, faultless, faultsOf, newRule, resultText, sample, sampleOf } from './redaction';

/** What never enters the record, with a place to try it. */
@Component({
  selector: 'nb-redaction-page',
  imports: [AuditSettingsTabs, EventList, Field, FieldInput, Icon, PageHeader, ProblemNotice],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './redaction-page.html',
  styleUrl: './redaction-page.scss',
})
export class RedactionPage {
  private readonly api = inject(Api);
  private readonly toasts = inject(Toasts);
  protected readonly session = inject(Session);
  protected readonly told = remote<Redaction>(() => '/audit/redaction');
  private readonly saved = computed(() => this.told.value()?.rules ?? []);
  protected readonly rules = linkedSignal(() => this.saved());
  protected readonly builtin = computed(() => this.told.value()?.builtin ?? []);
  protected readonly changed = computed(() => JSON.stringify(this.rules()) !== JSON.stringify(this.saved()));
  protected readonly faults = computed(() => this.rules().map(faultsOf));
  protected readonly tried = signal(false);
  protected readonly saving = action();
  protected readonly mayEdit = this.session.can('audit:redaction:update');
  protected readonly sample = signal(sample);
  protected readonly test = answered<{ result: unknown }>(() => {
    const rules = this.rules().filter((rule) => faultless([rule]));
    const text = this.sample();
    if (!this.mayEdit || !this.told.value() || text.trim() === '') return null;
    const sample = sampleOf(text);
    return (signal) => this.api.post('/audit/redaction/test', { sample, rules, event: eventOf(sample) }, { signal });
  });
  protected readonly result = computed(() => {
    const answer = this.test.value();
    return answer ? resultText(answer.result) : '';
  });

  protected change(at: number, change: Partial<RedactionRule>): void {
    this.rules.update((all) => all.map((rule, index) => (index === at ? { ...rule, ...change } : rule)));
  }

  protected setKind(at: number, kind: string): void {
    this.change(at, { kind: kind === 'pattern' ? 'pattern' : 'field' });
  }

  protected add(): void {
    this.rules.update((all) => [...all, newRule()]);
  }

  protected remove(at: number): void {
    this.rules.update((all) => all.filter((_, index) => index !== at));
  }

  protected undo(): void {
    this.rules.set(this.saved());
    this.tried.set(false);
    this.saving.clear();
  }

  protected async save(): Promise<void> {
    this.tried.set(true);
    if (!faultless(this.rules())) return;
    await this.saving.run(async () => {
      this.told.set(await this.api.put<Redaction>('/audit/redaction', { rules: this.rules() }));
      this.tried.set(false);
      this.toasts.done($localize`Saved. It counts for everything that is recorded from now on.`);
    });
  }
}
