import { ChangeDetectionStrategy, Component, computed, inject, input } from '@angular/core';
import { Router, RouterLink } from '@angular/router';

import { Field, FieldInput } from '@core/form/field';
import { Icon } from '@core/icon/icon';
import { keysetList } from '@core/list/keyset-list';
import { ListFrame } from '@core/list/list-frame';
import { Badge } from '@core/page/badge';
import { EmptyState } from '@core/page/empty-state';
import { PageHeader } from '@core/page/page-header';
import { Time } from '@core/time/time';

import { Workflow, statusTone, statusWord, statuses, typesOf } from './workflow';
import { WorkflowTabs } from './workflow-tabs';

/** The workflows, the newest first. The filter lives in the address. */
@Component({
  selector: 'nb-workflows-page',
  imports: [Badge, EmptyState, Field, FieldInput, Icon, ListFrame, PageHeader, RouterLink, Time, WorkflowTabs],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './workflows-page.html',
  styleUrl: './workflows-page.scss',
})
export class WorkflowsPage {
  private readonly router = inject(Router);

  readonly status = input<string>();
  readonly type = input<string>();

  protected readonly list = keysetList<Workflow>('/system/workflows', () => ({ status: this.status(), type: this.type() }));
  protected readonly filtered = computed(() => Boolean(this.status() ?? this.type()));
  protected readonly types = computed(() => typesOf(this.list.items(), []));
  protected readonly statuses = statuses;
  protected readonly word = statusWord;
  protected readonly tone = statusTone;

  protected show(filter: { status: string; type: string }): void {
    void this.router.navigate([], { queryParams: { status: filter.status || null, type: filter.type.trim() || null } });
  }
}
