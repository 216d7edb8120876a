import { ChangeDetectionStrategy, Component, inject } from '@angular/core';
import { RouterLink } from '@angular/router';

import { Icon } from '@core/icon/icon';
import { Badge } from '@core/page/badge';
import { CopyId } from '@core/page/copy-id';
import { Session } from '@core/session/session';
import { Time } from '@core/time/time';

import { tenantState } from './tenant';
import { TenantChecklist } from './tenant-checklist';
import { TenantStore } from './tenant-store';

/** What a tenant is, what it still lacks, and what lies under it. */
@Component({
  selector: 'nb-tenant-overview',
  imports: [Badge, CopyId, Icon, RouterLink, TenantChecklist, Time],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './overview.html',
  styleUrl: './overview.scss',
})
export class Overview {
  protected readonly session = inject(Session);
  protected readonly store = inject(TenantStore);
  protected readonly state = tenantState;
}
