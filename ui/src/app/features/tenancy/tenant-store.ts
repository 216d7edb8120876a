import { Injectable, computed, inject, signal } from '@angular/core';

import { Page } from '@core/api/api';
import { remote } from '@core/api/remote';
import { Session } from '@core/session/session';

import { Tenant } from './tenant';

/** The tenant whose pages are open, and those around it. Provided by TenantPage. */
@Injectable()
export class TenantStore {
  private readonly session = inject(Session);

  /** Set by the page from the address. */
  readonly id = signal('');
  readonly list = remote<Page<Tenant>>(() => ({ path: '/tenants', query: { include: 'deleted' } }));
  readonly all = computed<readonly Tenant[]>(() => this.list.value()?.items ?? []);
  readonly tenant = computed(() => this.all().find((one) => one.id === this.id()) ?? null);
  readonly children = computed(() => this.all().filter((one) => one.parent_id === this.id()));
  /** Whether the person works in this tenant now. */
  readonly active = computed(() => this.session.tenant()?.id === this.id());
  /** Whether they could: tenants that are theirs, without signing in again. */
  readonly enterable = computed(() => this.session.current()?.tenants.some((one) => one.id === this.id()) ?? false);

  /** The address of a part of the tenant, as Api takes it. */
  path(part: string): string {
    return `/tenants/${this.id()}/${part}`;
  }

  /** Works in this tenant from now on. */
  async enter(): Promise<void> {
    if (!this.active()) await this.session.switchTenant(this.id());
  }
}
