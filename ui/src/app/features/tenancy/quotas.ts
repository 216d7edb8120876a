import { ChangeDetectionStrategy, Component, computed, inject, signal } from '@angular/core';

import { Api, Page } from '@core/api/api';
import { remote } from '@core/api/remote';
import { action } from '@core/feedback/action';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Toasts } from '@core/feedback/toasts';
import { Icon } from '@core/icon/icon';
import { Session } from '@core/session/session';

import { Quota, QuotaKind, limitsProblem, quotaAmount, quotaLevel, quotaName, quotaShares, quotaWords } from './quota';
import { TenantStore } from './tenant-store';

type Limit = 'soft' | 'hard';

/** How much a tenant may have of everything, and how much it has. */
@Component({
  selector: 'nb-tenant-quotas',
  imports: [Icon, ProblemNotice],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './quotas.html',
  styleUrl: './quotas.scss',
})
export class Quotas {
  private readonly api = inject(Api);
  private readonly session = inject(Session);
  private readonly toasts = inject(Toasts);
  protected readonly store = inject(TenantStore);
  protected readonly list = remote<Page<Quota>>(() => (this.store.id() ? this.store.path('quotas') : null));
  protected readonly saving = action();

  /** What is being changed; null while only looking. */
  protected readonly draft = signal<readonly Quota[] | null>(null);
  protected readonly shown = computed(() => this.draft() ?? this.list.value()?.items ?? []);
  /** Limits are set from above: nobody sets their own. */
  protected readonly mayEdit = computed(
    () => this.session.can('tenancy:quota:update') && !this.store.active() && this.store.tenant()?.status === 'active',
  );
  protected readonly wrong = computed(() => (this.draft() ?? []).some((one) => limitsProblem(one.soft, one.hard)));

  protected readonly name = quotaName;
  protected readonly amount = quotaAmount;
  protected readonly level = quotaLevel;
  protected readonly words = quotaWords;
  protected readonly shares = quotaShares;
  protected readonly limits = limitsProblem;

  /** The unit that limits are entered in. */
  protected unit(kind: QuotaKind): string {
    return kind === 'memory_mib' ? '(MiB)' : kind === 'disk_gib' ? '(GiB)' : '';
  }

  protected label(kind: QuotaKind, limit: Limit): string {
    const what = [quotaName(kind), this.unit(kind)].filter(Boolean).join(' ');
    return limit === 'soft' ? $localize`Soft limit for ${what}` : $localize`Hard limit for ${what}`;
  }

  protected set(kind: QuotaKind, limit: Limit, input: HTMLInputElement): void {
    const bad = input.validity.badInput;
    const value = bad ? Number.NaN : input.value === '' ? null : input.valueAsNumber;
    this.draft.update((old) => old?.map((one) => (one.kind === kind ? { ...one, [limit]: value } : one)) ?? null);
  }

  protected edit(): void {
    this.saving.clear();
    this.draft.set(this.list.value()?.items ?? []);
  }

  protected async save(): Promise<void> {
    const draft = this.draft();
    if (!draft || this.wrong()) return;
    const items = draft.map(({ kind, soft, hard }) => ({
      kind,
      ...(soft === null ? {} : { soft }),
      ...(hard === null ? {} : { hard }),
    }));
    if (!(await this.saving.run(() => this.api.put(this.store.path('quotas'), { items })))) return;
    this.toasts.done($localize`The quotas count from now on.`);
    await this.list.reload();
    this.draft.set(null);
  }
}
