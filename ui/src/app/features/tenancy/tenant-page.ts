import { ChangeDetectionStrategy, Component, computed, effect, inject, input } from '@angular/core';
import { Router, RouterOutlet } from '@angular/router';

import { action } from '@core/feedback/action';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Toasts } from '@core/feedback/toasts';
import { Icon } from '@core/icon/icon';
import { Badge } from '@core/page/badge';
import { EmptyState } from '@core/page/empty-state';
import { PageHeader } from '@core/page/page-header';
import { SectionTab, SectionTabs } from '@core/page/section-tabs';
import { Session } from '@core/session/session';
import { Time } from '@core/time/time';
import { pathTo } from '@core/tree/tree';

import { tenantState } from './tenant';
import { TenantActions } from './tenant-actions';
import { TenantStore } from './tenant-store';

/** One tenant: what it is called and in which state, with its pages below. */
@Component({
  selector: 'nb-tenant-page',
  imports: [Badge, EmptyState, Icon, PageHeader, ProblemNotice, RouterOutlet, SectionTabs, TenantActions, Time],
  providers: [TenantStore],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './tenant-page.html',
  styles: `
    .state {
      margin-bottom: var(--s4);
    }
  `,
})
export class TenantPage {
  private readonly router = inject(Router);
  private readonly toasts = inject(Toasts);
  protected readonly session = inject(Session);
  protected readonly store = inject(TenantStore);
  protected readonly entering = action('toast');
  protected readonly back = { link: '/tenants', label: $localize`Tenants` };
  protected readonly state = tenantState;

  readonly id = input.required<string>();

  /** Where it lies: the names above it. */
  protected readonly above = computed(() => {
    const names = pathTo(this.store.all(), this.id()).map((one) => one.name);
    return names.length > 1 ? $localize`Under ${names.slice(0, -1).join(' › ')}` : '';
  });
  protected readonly tabs = computed<SectionTab[]>(() => {
    const at = `/tenants/${this.id()}`;
    return [
      { link: at, label: $localize`Overview`, icon: 'tenant', exact: true },
      { link: `${at}/settings`, label: $localize`Settings`, icon: 'settings' },
      { link: `${at}/quotas`, label: $localize`Quotas`, icon: 'gauge' },
      { link: `${at}/domains`, label: $localize`E-mail domains`, icon: 'globe' },
      { link: `${at}/compartments`, label: $localize`Compartments`, icon: 'pool' },
    ];
  });

  constructor() {
    effect(() => this.store.id.set(this.id()));
  }

  /** Reads again; a tenant that is gone for good has no page any more. */
  protected async changed(): Promise<void> {
    await this.store.list.reload();
    if (!this.store.tenant()) await this.router.navigateByUrl('/tenants');
  }

  protected async enter(): Promise<void> {
    if (await this.entering.run(() => this.store.enter())) {
      this.toasts.done($localize`You work in ${this.session.tenant()?.name} now.`);
    }
  }
}
