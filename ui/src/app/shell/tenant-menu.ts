import { CdkMenu, CdkMenuItemRadio, CdkMenuTrigger } from '@angular/cdk/menu';
import { ChangeDetectionStrategy, Component, inject } from '@angular/core';
import { Router } from '@angular/router';

import { action } from '@core/feedback/action';
import { Icon } from '@core/icon/icon';
import { Session } from '@core/session/session';

/** Shows the active tenant and switches to another one. */
@Component({
  selector: 'nb-tenant-menu',
  imports: [CdkMenu, CdkMenuItemRadio, CdkMenuTrigger, Icon],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    @if (session.current(); as current) {
      <button type="button" class="switch" [cdkMenuTriggerFor]="menu" [disabled]="switching.busy()">
        <span class="mark" aria-hidden="true">{{ current.tenant.name.slice(0, 1) }}</span>
        <span class="text">
          <span class="visually-hidden" i18n>Active tenant:</span>
          <strong>{{ current.tenant.name }}</strong>
          <small>{{ current.appliance.name }}</small>
        </span>
        <nb-icon name="updown" [size]="16" />
      </button>
      <ng-template #menu>
        <div class="nb-menu" cdkMenu i18n-aria-label aria-label="Switch tenant">
          @for (tenant of current.tenants; track tenant.id) {
            <button
              type="button"
              cdkMenuItemRadio
              [cdkMenuItemChecked]="tenant.id === current.tenant.id"
              (cdkMenuItemTriggered)="choose(tenant.id)"
            >
              <nb-icon
                name="check"
                [size]="16"
                [style.visibility]="tenant.id === current.tenant.id ? 'visible' : 'hidden'"
              />
              <span>{{ tenant.name }}</span>
              @if (tenant.is_root) {
                <small class="soft" i18n>provider</small>
              }
            </button>
          }
        </div>
      </ng-template>
    }
  `,
  styles: `
    .switch {
      display: flex;
      align-items: center;
      gap: var(--s3);
      width: 100%;
      padding: var(--s2);
      border: 1px solid var(--rail-line);
      border-radius: var(--radius);
      background: var(--rail-hover);
      color: var(--rail-ink);
      text-align: left;
      cursor: pointer;
    }
    .switch:hover {
      background: var(--rail-active);
    }
    .mark {
      display: grid;
      flex: none;
      place-items: center;
      width: 2rem;
      height: 2rem;
      border-radius: var(--radius-s);
      background: #2f6f72;
      color: #fff;
      font-weight: 600;
    }
    .text {
      display: grid;
      flex: 1;
      min-width: 0;
      line-height: 1.25;
    }
    strong,
    .switch small {
      overflow: hidden;
      text-overflow: ellipsis;
      white-space: nowrap;
      font-weight: 550;
    }
    .switch small {
      color: var(--rail-ink-soft);
      font-size: var(--text-xs);
      font-weight: 400;
    }
    .nb-menu small {
      margin-left: auto;
    }
  `,
})
export class TenantMenu {
  private readonly router = inject(Router);
  protected readonly session = inject(Session);
  protected readonly switching = action('toast');

  protected async choose(tenantId: string): Promise<void> {
    if (tenantId === this.session.tenant()?.id) return;
    const done = await this.switching.run(() => this.session.switchTenant(tenantId));
    // What is open belongs to the former tenant: begin at the dashboard of the new one.
    if (done) await this.router.navigateByUrl('/');
  }
}
