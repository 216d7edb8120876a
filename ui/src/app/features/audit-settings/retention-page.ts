import { ChangeDetectionStrategy, Component, computed, inject, linkedSignal, signal } from '@angular/core';
import { RouterLink } from '@angular/router';

import { Api } from '@core/api/api';
import { remote } from '@core/api/remote';
import { AuditSettingsTabs } from '@core/audit/audit-settings-tabs';
import { EventCatalogue } from '@core/audit/event-catalogue';
import { EventList } from '@core/audit/event-list';
import { Retention, RetentionRule, faultless, faultsOf, wholeDays } from '@core/audit/retention';
import { Dialogs } from '@core/dialog/dialogs';
import { action } from '@core/feedback/action';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Toasts } from '@core/feedback/toasts';
import { Field, FieldInput } from '@core/form/field';
import { Icon } from '@core/icon/icon';
import { PageHeader } from '@core/page/page-header';
import { Session } from '@core/session/session';

import { DaysField } from './days-field';
import { RetentionStory } from './retention-story';

/** How long records are kept, and what happens to them then. */
@Component({
  selector: 'nb-retention-page',
  imports: [AuditSettingsTabs, DaysField, EventList, Field, FieldInput, Icon, PageHeader, ProblemNotice, RetentionStory, RouterLink],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './retention-page.html',
  styleUrl: './retention-page.scss',
})
export class RetentionPage {
  private readonly api = inject(Api);
  private readonly dialogs = inject(Dialogs);
  private readonly toasts = inject(Toasts);
  protected readonly session = inject(Session);
  protected readonly catalogue = inject(EventCatalogue);
  protected readonly told = remote<Retention>(() => '/audit/retention');
  private readonly saved = computed(() => complete(this.told.value()));
  protected readonly draft = linkedSignal(() => this.saved());
  protected readonly changed = computed(() => JSON.stringify(this.draft()) !== JSON.stringify(this.saved()));
  protected readonly faults = computed(() => faultsOf(this.draft()));
  protected readonly tried = signal(false);
  protected readonly saving = action();
  protected readonly mayEdit = this.session.can('audit:retention:update');
  protected readonly wholeDays = wholeDays;

  protected change(change: Partial<Retention>): void {
    this.draft.update((old) => ({ ...old, ...change }));
  }

  protected changeRule(at: number, change: Partial<RetentionRule>): void {
    this.change({ rules: this.draft().rules.map((rule, index) => (index === at ? { ...rule, ...change } : rule)) });
  }

  protected addRule(): void {
    this.change({ rules: [...this.draft().rules, { event: '', days: 90 }] });
  }

  protected removeRule(at: number): void {
    this.change({ rules: this.draft().rules.filter((_, index) => index !== at) });
  }

  protected undo(): void {
    this.draft.set(this.saved());
    this.tried.set(false);
    this.saving.clear();
  }

  protected async save(): Promise<void> {
    this.tried.set(true);
    if (!faultless(this.faults()) || !(await this.sure())) return;
    await this.saving.run(async () => {
      this.told.set(await this.api.put<Retention>('/audit/retention', this.draft()));
      this.tried.set(false);
      this.toasts.done($localize`Saved. It counts from the next run of the archive on.`);
    });
  }

  private async sure(): Promise<boolean> {
    if (!this.draft().prune_enabled || this.saved().prune_enabled) return true;
    return this.dialogs.confirm({
      heading: $localize`Delete records whose time is over?`,
      text: $localize`From the next run on their text goes from the database, once a copy in the archive was read back and found whole. Their hashes stay, so that the chain can still be proven. Records under a legal hold stay.`,
      verb: $localize`Switch pruning on`,
      danger: true,
    });
  }
}

function complete(told: Retention | null): Retention {
  const plain = { default_days: null, rules: [], archive_after_days: 30, prune_enabled: false };
  return { ...plain, ...told, rules: (told?.rules as RetentionRule[] | null | undefined) ?? [] };
}
