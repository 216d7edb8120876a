import { CdkMenu, CdkMenuItem, CdkMenuTrigger } from '@angular/cdk/menu';
import { ChangeDetectionStrategy, Component, computed, inject, input, output } from '@angular/core';
import { Router } from '@angular/router';

import { Icon } from '@core/icon/icon';
import { IconName } from '@core/icon/icons';
import { Session } from '@core/session/session';

import { Tenant, TenantVerb, tenantVerbs, verbPermission } from './tenant';
import { TenantWork } from './tenant-work';

/** The menu of what can be done with a tenant. */
@Component({
  selector: 'nb-tenant-actions',
  imports: [CdkMenu, CdkMenuItem, CdkMenuTrigger, Icon],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    @if (offered().length > 0) {
      <button
        type="button"
        class="button icon-only"
        [class.small]="small()"
        [class.quiet]="small()"
        [attr.aria-label]="label()"
        [disabled]="work.busy()"
        [cdkMenuTriggerFor]="menu"
      >
        <nb-icon name="more" [size]="small() ? 16 : 18" />
      </button>
    }
    <ng-template #menu>
      <div class="nb-menu" cdkMenu>
        @for (verb of offered(); track verb) {
          @if ($index > 0 && $index === firstDanger()) {
            <hr />
          }
          <button
            type="button"
            cdkMenuItem
            [class.danger]="words[verb].danger"
            (cdkMenuItemTriggered)="run(verb)"
          >
            <nb-icon [name]="words[verb].icon" [size]="16" />{{ words[verb].label }}
          </button>
        }
      </div>
    </ng-template>
  `,
})
export class TenantActions {
  private readonly router = inject(Router);
  private readonly session = inject(Session);
  protected readonly work = inject(TenantWork);

  readonly tenant = input.required<Tenant>();
  readonly all = input.required<readonly Tenant[]>();
  readonly small = input(false);
  readonly changed = output();

  protected readonly words: Readonly<Record<TenantVerb, { label: string; icon: IconName; danger?: boolean }>> = {
    edit: { label: $localize`Rename and describe`, icon: 'edit' },
    add: { label: $localize`New sub-tenant`, icon: 'plus' },
    export: { label: $localize`Export all data`, icon: 'download' },
    move: { label: $localize`Move under another`, icon: 'arrow' },
    suspend: { label: $localize`Suspend`, icon: 'pause', danger: true },
    resume: { label: $localize`Resume`, icon: 'play' },
    delete: { label: $localize`Delete`, icon: 'trash', danger: true },
    restore: { label: $localize`Restore`, icon: 'history' },
    purge: { label: $localize`Purge for ever`, icon: 'breakglass', danger: true },
  };
  protected readonly label = computed(() => $localize`More for ${this.tenant().name}`);
  protected readonly offered = computed(() =>
    tenantVerbs(this.tenant(), this.session.tenant()?.id).filter((verb) => this.session.can(verbPermission(verb))),
  );

  /** Where the line above what cannot be taken back lightly is drawn. */
  protected readonly firstDanger = computed(() => this.offered().findIndex((verb) => this.words[verb].danger));

  protected async run(verb: TenantVerb): Promise<void> {
    if (verb === 'add') {
      await this.router.navigate(['/tenants/new'], { queryParams: { parent: this.tenant().id } });
    } else if (await this.work.do(verb, this.tenant(), this.all())) {
      this.changed.emit();
      await this.session.refresh().catch(() => undefined);
    }
  }
}
