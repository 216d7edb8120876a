import { ChangeDetectionStrategy, Component, computed, inject, input } from '@angular/core';
import { Router, RouterLink } from '@angular/router';

import { remote } from '@core/api/remote';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Icon } from '@core/icon/icon';
import { Badge } from '@core/page/badge';
import { PageHeader } from '@core/page/page-header';
import { Session } from '@core/session/session';
import { Time } from '@core/time/time';

import { CoverageCard } from './coverage-card';
import { DayChart } from './day-chart';
import { PeriodPicker } from './period-picker';
import { Check, Dashboard, Days, checkWord, fixFor, periodQuery, reportAddress, reports } from './report';
import { RetentionCard } from './retention-card';

/** How well the tenant keeps to what is asked of it, for people who have to show it to others. */
@Component({
  selector: 'nb-compliance',
  imports: [Badge, CoverageCard, DayChart, Icon, PageHeader, PeriodPicker, ProblemNotice, RetentionCard, RouterLink, Time],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './compliance.html',
  styleUrl: './compliance.scss',
})
export class CompliancePage {
  private readonly router = inject(Router);
  protected readonly session = inject(Session);

  /** First day, `2026-11-01`; the last thirty days when both are left out. */
  readonly from = input<string>();
  /** Last day. */
  readonly to = input<string>();

  protected readonly days = computed((): Days => ({ from: this.from() ?? '', to: this.to() ?? '' }));
  protected readonly told = remote<Dashboard>(() => ({ path: '/audit/compliance', query: periodQuery(this.days()) }));
  protected readonly checks = computed(() => this.told.value()?.score ?? []);
  protected readonly good = computed(() => this.checks().filter((check) => check.ok).length);
  // What needs somebody stands first.
  protected readonly sorted = computed(() => [...this.checks()].sort((a, b) => Number(a.ok) - Number(b.ok)));
  protected readonly seesRetention = computed(() => this.session.can('audit:retention:read'));
  protected readonly reports = reports;
  protected readonly checkWord = checkWord;
  protected readonly address = reportAddress;

  protected fix(check: Check): ReturnType<typeof fixFor> {
    return check.ok ? null : fixFor(check.check, this.session.tenant()?.id ?? '');
  }

  protected choose(days: Days): void {
    void this.router.navigate([], { queryParams: { from: days.from || null, to: days.to || null } });
  }

  protected show(id: string): void {
    const section = document.getElementById(id);
    section?.scrollIntoView({ behavior: 'smooth' });
    section?.focus({ preventScroll: true });
  }
}
