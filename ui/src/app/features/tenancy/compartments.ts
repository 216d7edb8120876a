import { CdkMenu, CdkMenuItem, CdkMenuTrigger } from '@angular/cdk/menu';
import { ChangeDetectionStrategy, Component, computed, inject, signal } from '@angular/core';

import { Api } from '@core/api/api';
import { Dialogs } from '@core/dialog/dialogs';
import { action } from '@core/feedback/action';
import { Toasts } from '@core/feedback/toasts';
import { Icon } from '@core/icon/icon';
import { ListFrame } from '@core/list/list-frame';
import { wholeList } from '@core/list/whole-list';
import { CopyId } from '@core/page/copy-id';
import { EmptyState } from '@core/page/empty-state';
import { Session } from '@core/session/session';
import { Time } from '@core/time/time';
import { MoveDialog } from '@core/tree/move-dialog';
import { TreeCell } from '@core/tree/tree-cell';
import { moveTargets, treeRows } from '@core/tree/tree';

import { Compartment } from './compartment';
import { CompartmentDraft, EditCompartment } from './edit-compartment';
import { TenantStore } from './tenant-store';

/** The compartments of a tenant as a tree. The server tells those of the tenant one works in. */
@Component({
  selector: 'nb-compartments',
  imports: [CdkMenu, CdkMenuItem, CdkMenuTrigger, CopyId, EmptyState, Icon, ListFrame, Time, TreeCell],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './compartments.html',
  styleUrl: './compartments.scss',
})
export class Compartments {
  private readonly api = inject(Api);
  private readonly dialogs = inject(Dialogs);
  private readonly toasts = inject(Toasts);
  protected readonly session = inject(Session);
  protected readonly store = inject(TenantStore);
  protected readonly list = wholeList<Compartment>(() => (this.store.active() ? '/compartments' : null));
  protected readonly closed = signal<ReadonlySet<string>>(new Set());
  protected readonly rows = computed(() => treeRows(this.list.items(), this.closed()));
  protected readonly changing = action('toast');
  protected readonly entering = action('toast');

  protected moreLabel(compartment: Compartment): string {
    return $localize`More for ${compartment.name}`;
  }

  protected flip(id: string): void {
    this.closed.update((old) => {
      const next = new Set(old);
      if (!next.delete(id)) next.add(id);
      return next;
    });
  }

  protected async edit(draft: CompartmentDraft): Promise<void> {
    if (await this.dialogs.open<boolean>(EditCompartment, draft)) await this.list.reload();
  }

  protected async move(compartment: Compartment): Promise<void> {
    const done = await this.dialogs.open<boolean>(MoveDialog, {
      heading: $localize`Move ${compartment.name}`,
      lead: $localize`Everything under it moves along. Rights that were given for the new place count for it from then on, those of the old place no longer.`,
      targets: moveTargets(this.list.items(), compartment.id),
      ...(compartment.parent_id ? { top: $localize`At the top, under no other` } : {}),
      send: (parent_id: string | null) => this.api.post(`/compartments/${compartment.id}/move`, { parent_id }),
    });
    if (!done) return;
    this.toasts.done($localize`${compartment.name} was moved.`);
    await this.list.reload();
  }

  protected async remove(compartment: Compartment): Promise<void> {
    const sure = await this.dialogs.confirm({
      heading: $localize`Delete ${compartment.name}?`,
      text: $localize`Only an empty compartment can be deleted. Rights that were given for it end.`,
      verb: $localize`Delete compartment`,
      danger: true,
    });
    if (!sure || !(await this.changing.run(() => this.api.delete(`/compartments/${compartment.id}`)))) return;
    await this.list.reload();
  }

  protected async enter(): Promise<void> {
    await this.entering.run(() => this.store.enter());
  }
}
