import {
  ChangeDetectionStrategy,
  Component,
  computed,
  effect,
  inject,
  input,
  linkedSignal,
  output,
  signal,
  untracked,
} from '@angular/core';

import { Api } from '@core/api/api';
import { Problem, asProblem } from '@core/api/problem';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Icon } from '@core/icon/icon';
import { Follow } from '@core/log/follow';
import { Badge } from '@core/page/badge';
import { rereadWithoutLive } from '@core/realtime/fallback';
import { Realtime } from '@core/realtime/realtime';
import { Time } from '@core/time/time';

import { Task, TaskLines } from './item';
import { taskState, taskTitle } from './task-words';

/** One task of a cluster and what it writes, as it writes it. */
@Component({
  selector: 'nb-task-log',
  imports: [Badge, Follow, Icon, ProblemNotice, Time],
  changeDetection: ChangeDetectionStrategy.OnPush,
  host: { class: 'card' },
  templateUrl: './task-log.html',
  styleUrl: './task-log.scss',
})
export class TaskLog {
  private readonly api = inject(Api);
  private readonly realtime = inject(Realtime);
  readonly task = input.required<Task>();
  readonly closed = output();
  /** The task as it is after the log was asked for without the live connection. */
  readonly changed = output<Task>();

  private readonly id = computed(() => this.task().id);
  protected readonly running = computed(() => this.task().status === 'running');
  protected readonly lines = linkedSignal<string, readonly string[]>({
    source: this.id,
    computation: () => [],
  });
  protected readonly problem = signal<Problem | null>(null);
  protected readonly live = computed(() => this.running() && this.realtime.state() === 'online');
  protected readonly state = taskState;
  protected readonly title = taskTitle;

  constructor() {
    this.realtime.on<TaskLines>('task.log', (event) => {
      if (event.id === this.id()) this.take(event.data);
    });
    effect((onCleanup) => onCleanup(this.realtime.watch('task', this.id())));
    effect(() => {
      this.id();
      this.running();
      untracked(() => void this.read());
    });
    rereadWithoutLive(() => this.poll(), 2_000, this.running);
  }

  protected async read(): Promise<void> {
    const id = this.id();
    try {
      const answer = await this.api.get<TaskLines>(`/tasks/${id}/log`);
      const lines = answer.lines ?? [];
      if (id === this.id() && lines.length >= this.lines().length) this.lines.set(lines);
      this.problem.set(null);
    } catch (cause) {
      this.problem.set(asProblem(cause));
    }
  }

  private async poll(): Promise<void> {
    await this.read();
    await this.api.get<Task>(`/tasks/${this.id()}`).then(
      (task) => this.changed.emit(task),
      () => undefined,
    );
  }

  // Lines that do not join on to what is here mean that something was missed.
  private take(said: TaskLines): void {
    const { from } = said;
    const lines = said.lines ?? [];
    const have = this.lines().length;
    if (from !== undefined && from > have) return void this.read();
    const fresh = from === undefined ? lines : lines.slice(have - from);
    this.lines.update((old) => [...old, ...fresh]);
  }
}
