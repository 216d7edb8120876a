import { Injectable, inject } from '@angular/core';

import { Api } from '@core/api/api';
import { Dialogs } from '@core/dialog/dialogs';
import { action } from '@core/feedback/action';
import { Toasts } from '@core/feedback/toasts';
import { saveFile } from '@core/file/save-file';
import { localTime } from '@core/time/format';
import { MoveDialog } from '@core/tree/move-dialog';
import { moveTargets } from '@core/tree/tree';

import { EditTenant } from './edit-tenant';
import { SuspendTenant } from './suspend-tenant';
import { Tenant, TenantVerb, tenantLevels } from './tenant';

/** Does things to tenants: asks first, says afterwards that it was done. */
@Injectable({ providedIn: 'root' })
export class TenantWork {
  private readonly api = inject(Api);
  private readonly dialogs = inject(Dialogs);
  private readonly toasts = inject(Toasts);
  private readonly running = action('toast');

  readonly busy = this.running.busy;

  /** Does it; answers whether the tenant changed. `all` are the tenants that it can be moved under. */
  async do(verb: Exclude<TenantVerb, 'add'>, tenant: Tenant, all: readonly Tenant[]): Promise<boolean> {
    switch (verb) {
      case 'edit':
        return this.told(await this.dialogs.open<boolean>(EditTenant, tenant), $localize`Saved.`);
      case 'move':
        return this.move(tenant, all);
      case 'suspend':
        return this.told(
          await this.dialogs.open<boolean>(SuspendTenant, tenant),
          $localize`${tenant.name} is suspended.`,
        );
      case 'resume':
        return this.send(tenant, 'resume', $localize`${tenant.name} works again.`);
      case 'delete':
        return this.remove(tenant);
      case 'restore':
        return this.send(tenant, 'restore', $localize`${tenant.name} is back.`);
      case 'purge':
        return this.purge(tenant);
      case 'export':
        return this.export(tenant);
    }
  }

  private async move(tenant: Tenant, all: readonly Tenant[]): Promise<boolean> {
    const usable = all.filter((one) => one.status === 'active' || one.id === tenant.id || one.parent_id === tenant.id);
    const done = await this.dialogs.open<boolean>(MoveDialog, {
      heading: $localize`Move ${tenant.name}`,
      lead: $localize`Under which tenant? People, stacks and sub-tenants move along. Its quota then counts against the new one above it.`,
      targets: moveTargets(usable, tenant.id, tenantLevels).filter((row) => row.item.status === 'active'),
      send: (parent_id: string | null) => this.api.post(`/tenants/${tenant.id}/move`, { parent_id }),
    });
    return this.told(done, $localize`${tenant.name} was moved.`);
  }

  private async remove(tenant: Tenant): Promise<boolean> {
    const sure = await this.dialogs.confirm({
      heading: $localize`Delete ${tenant.name}?`,
      text: $localize`Its people lose access at once. The data stays for as long as the tenant’s settings say, and can be restored until then. Machines on the clusters are not touched: destroy its stacks first if they should go.`,
      verb: $localize`Delete tenant`,
      danger: true,
    });
    if (!sure) return false;
    const done = await this.running.run(() => this.api.delete(`/tenants/${tenant.id}`));
    return this.told(done, $localize`${tenant.name} is deleted. It can be restored until it is purged.`);
  }

  private async purge(tenant: Tenant): Promise<boolean> {
    const when = tenant.purge_at ? localTime(new Date(tenant.purge_at)) : '';
    const sure = await this.dialogs.confirm({
      heading: $localize`Purge ${tenant.name} for ever?`,
      text: when
        ? $localize`All of its data is destroyed now instead of on ${when}:when:. Nobody can bring it back. Export it first if you may need it.`
        : $localize`All of its data is destroyed. Nobody can bring it back. Export it first if you may need it.`,
      verb: $localize`Purge tenant`,
      danger: true,
      typed: tenant.name,
    });
    if (!sure) return false;
    const work = () => this.api.post(`/tenants/${tenant.id}/purge`, { name: tenant.name });
    return this.told(await this.running.run(work), $localize`${tenant.name} is being purged.`);
  }

  private async export(tenant: Tenant): Promise<boolean> {
    const sure = await this.dialogs.confirm({
      heading: $localize`Export all data of ${tenant.name}?`,
      text: $localize`You get one archive with every table and a manifest that names each file’s checksum. Passwords, tokens and keys are left out. It may take a few minutes; keep this page open.`,
      verb: $localize`Export`,
    });
    if (!sure) return false;
    await this.running.run(async () => {
      const archive = await this.api.download(`/tenants/${tenant.id}/export`);
      saveFile(`${fileName(tenant.name)}-${new Date().toISOString().slice(0, 10)}.zip`, archive, 'application/zip');
      this.toasts.done($localize`The export of ${tenant.name} is in your downloads.`);
    });
    return false;
  }

  private async send(tenant: Tenant, verb: string, words: string): Promise<boolean> {
    return this.told(await this.running.run(() => this.api.post(`/tenants/${tenant.id}/${verb}`)), words);
  }

  private told(done: boolean | undefined, words: string): boolean {
    if (done) this.toasts.done(words);
    return done ?? false;
  }
}

/** A name as part of a file name. */
export function fileName(name: string): string {
  const plain = name.normalize('NFKD').replace(/[^\p{L}\p{N}]+/gu, '-');
  return plain.replace(/^-+|-+$/g, '').toLowerCase() || 'tenant';
}
