import { ChangeDetectionStrategy, Component, computed, inject, input } from '@angular/core';
import { Router, RouterLink } from '@angular/router';

import { Api } from '@core/api/api';
import { remote } from '@core/api/remote';
import { Dialogs } from '@core/dialog/dialogs';
import { action } from '@core/feedback/action';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { BytesPipe } from '@core/format/bytes';
import { Icon } from '@core/icon/icon';
import { IconName } from '@core/icon/icons';
import { keysetList } from '@core/list/keyset-list';
import { ListFrame } from '@core/list/list-frame';
import { Badge } from '@core/page/badge';
import { CopyId } from '@core/page/copy-id';
import { EmptyState } from '@core/page/empty-state';
import { PageHeader } from '@core/page/page-header';
import { rereadWithoutLive } from '@core/realtime/fallback';
import { Realtime } from '@core/realtime/realtime';
import { Session } from '@core/session/session';
import { duration } from '@core/time/format';
import { Time } from '@core/time/time';

import { Item, PowerAction, Task, isGuest, itemTone, kindWord, share } from './item';
import { TaskLog } from './task-log';
import { powerActions, powerQuestion, taskState, taskTitle } from './task-words';
import { UsageBar } from './usage-bar';

const known = new Set(
  ('vmid cores cpu memory_bytes memory_used_bytes disk_bytes disk_used_bytes uptime_seconds tags pool template ' +
    'lock ha_state type content shared cidr ports comment').split(' '),
);

const buttons: Readonly<Record<PowerAction, { label: string; icon: IconName }>> = {
  start: { label: $localize`Start`, icon: 'play' },
  resume: { label: $localize`Resume`, icon: 'play' },
  shutdown: { label: $localize`Shut down`, icon: 'stop' },
  reboot: { label: $localize`Reboot`, icon: 'refresh' },
  suspend: { label: $localize`Suspend`, icon: 'pause' },
  stop: { label: $localize`Stop`, icon: 'breakglass' },
};

/** One item: what is known of it, switching it when it is a guest, and its tasks. */
@Component({
  selector: 'nb-item',
  imports: [
    Badge,
    BytesPipe,
    CopyId,
    EmptyState,
    Icon,
    ListFrame,
    PageHeader,
    ProblemNotice,
    RouterLink,
    TaskLog,
    Time,
    UsageBar,
  ],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './item-page.html',
  styleUrl: './item-page.scss',
})
export class ItemPage {
  private readonly api = inject(Api);
  private readonly dialogs = inject(Dialogs);
  private readonly router = inject(Router);
  private readonly session = inject(Session);
  readonly id = input.required<string>();
  /** The task whose log is open. */
  readonly task = input<string>();

  protected readonly item = remote<Item>(() => `/inventory/${this.id()}`);
  protected readonly tasks = keysetList<Task>('/tasks', () => ({ item_id: this.id(), limit: 20 }));
  protected readonly open = computed(() => this.tasks.items().find((task) => task.id === this.task()) ?? null);
  protected readonly switching = action();
  protected readonly guest = computed(() => {
    const item = this.item.value();
    return item !== null && isGuest(item);
  });
  protected readonly actions = computed<PowerAction[]>(() => {
    const item = this.item.value();
    if (!item || !isGuest(item) || item.properties.template) return [];
    if (!this.session.can(`cmdb:ci:power:${item.kind}`)) return [];
    return powerActions(item.status).filter((each) => item.kind === 'vm' || !['suspend', 'resume'].includes(each));
  });
  protected readonly busy = computed(() => this.tasks.items().some((task) => task.status === 'running'));
  protected readonly more = computed(() =>
    Object.entries(this.item.value()?.properties ?? {})
      .filter(([name, value]) => !known.has(name) && value !== null && value !== '')
      .map(([name, value]) => ({ name, value: typeof value === 'string' ? value : JSON.stringify(value) })),
  );
  protected readonly back = { link: '/inventory', label: $localize`Inventory` };
  protected readonly buttons = buttons;
  protected readonly tone = itemTone;
  protected readonly kind = kindWord;
  protected readonly share = share;
  protected readonly state = taskState;
  protected readonly title = taskTitle;
  protected readonly length = duration;

  constructor() {
    const realtime = inject(Realtime);
    realtime.on('inventory.updated', () => void this.item.reload());
    realtime.on<Task>('task.updated', (event) => this.take(event.data));
    rereadWithoutLive(() => this.reread(), 5_000);
  }

  protected async power(item: Item, action: PowerAction): Promise<void> {
    const question = powerQuestion(action, item.name);
    if (question && !(await this.dialogs.confirm(question))) return;
    await this.switching.run(async () => {
      const task = await this.api.post<Task>(`/inventory/${item.id}/power`, { action });
      await this.tasks.reload();
      this.show(task.id);
    });
  }

  protected show(task: string | null): void {
    void this.router.navigate([], { queryParams: { task }, queryParamsHandling: 'merge', replaceUrl: true });
  }

  /** Takes a task as it is now; when it ended, the guest is read again. */
  protected take(task: Task): void {
    if (task.item_id !== this.id()) return;
    const before = this.tasks.items().find((each) => each.id === task.id);
    if (!before) return void this.tasks.reload();
    this.tasks.patch(
      (each) => each.id === task.id,
      () => task,
    );
    if (before.status === 'running' && task.status !== 'running') void this.item.reload();
  }

  protected took(task: Task): string {
    if (!task.ended_at) return '–';
    return duration((Date.parse(task.ended_at) - Date.parse(task.started_at)) / 1000);
  }

  private reread(): void {
    void this.item.reload();
    void this.tasks.reload();
  }
}
