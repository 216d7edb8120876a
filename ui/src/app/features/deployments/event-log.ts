import {
  ChangeDetectionStrategy,
  Component,
  DestroyRef,
  computed,
  effect,
  inject,
  input,
  linkedSignal,
  signal,
  untracked,
} from '@angular/core';

import { Api, Page, isAbort } from '@core/api/api';
import { Problem, asProblem } from '@core/api/problem';
import { shortType } from '@core/deployment/deployment';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { saveFile } from '@core/file/save-file';
import { Icon } from '@core/icon/icon';
import { IconName } from '@core/icon/icons';
import { Follow } from '@core/log/follow';
import { rereadWithoutLive } from '@core/realtime/fallback';
import { Realtime } from '@core/realtime/realtime';
import { localClock } from '@core/time/format';

import { RunEvent, merge } from './run-event';

const pageSize = 1000;
// So many of the last lines are drawn; the file has all.
const drawn = 1500;

/**
 * What happens in a run, as it happens. Events come over the live connection;
 * gaps are filled, and without a connection the log is asked for.
 */
@Component({
  selector: 'nb-event-log',
  imports: [Follow, Icon, ProblemNotice],
  changeDetection: ChangeDetectionStrategy.OnPush,
  host: { class: 'card' },
  templateUrl: './event-log.html',
  styleUrl: './event-log.scss',
})
export class EventLog {
  private readonly api = inject(Api);
  private readonly realtime = inject(Realtime);
  readonly deployment = input.required<string>();
  /** Whether more events are to be expected. */
  readonly running = input(false);

  private readonly all = linkedSignal<string, readonly RunEvent[]>({
    source: this.deployment,
    computation: () => [],
  });
  protected readonly onlyProblems = signal(false);
  protected readonly problem = signal<Problem | null>(null);
  protected readonly live = computed(() => this.running() && this.realtime.state() === 'online');
  private readonly wanted = computed(() =>
    this.onlyProblems() ? this.all().filter((event) => toneOf(event) !== 'plain') : this.all(),
  );
  protected readonly events = computed(() => this.wanted().slice(-drawn));
  protected readonly earlier = computed(() => this.wanted().length - this.events().length);
  protected readonly short = shortType;
  protected readonly tone = toneOf;
  protected readonly icon = iconOf;
  private reading: Promise<void> | null = null;
  private readonly ended = new AbortController();

  constructor() {
    inject(DestroyRef).onDestroy(() => this.ended.abort());
    this.realtime.on<RunEvent>('deployment.event', (event) => {
      if (event.id === this.deployment()) this.take(event.data);
    });
    effect((onCleanup) => onCleanup(this.realtime.watch('deployment', this.deployment())));
    effect(() => {
      this.deployment();
      this.running();
      untracked(() => void this.read());
    });
    rereadWithoutLive(() => this.read(), 2_000, this.running);
  }

  protected time(event: RunEvent): string {
    return localClock(new Date(event.time));
  }

  protected download(): void {
    const lines = this.all().map((e) => [e.time, e.kind, e.status, e.op, e.type, e.name, e.message].join('\t'));
    saveFile(`deployment-${this.deployment()}.log`, lines.join('\n') + '\n', 'text/plain');
  }

  /** Reads what comes after the last event; calls at the same time share one reading. */
  protected read(): Promise<void> {
    this.reading ??= this.readOn().finally(() => (this.reading = null));
    return this.reading;
  }

  private take(event: RunEvent): void {
    const last = this.all().at(-1)?.seq ?? 0;
    if (event.seq > last + 1) return void this.read();
    this.all.update((old) => merge(old, [event]));
  }

  private async readOn(): Promise<void> {
    try {
      for (let full = true; full; ) {
        const query = { after: this.all().at(-1)?.seq ?? 0, limit: pageSize };
        const path = `/deployments/${this.deployment()}/events`;
        const page = await this.api.get<Page<RunEvent>>(path, { query, signal: this.ended.signal });
        this.all.update((old) => merge(old, page.items));
        full = page.items.length >= pageSize;
      }
      this.problem.set(null);
    } catch (cause) {
      if (!isAbort(cause)) this.problem.set(asProblem(cause));
    }
  }
}

function toneOf(event: RunEvent): 'bad' | 'warn' | 'good' | 'plain' {
  if (event.status === 'failed' || event.status === 'error') return 'bad';
  if (event.status === 'warning') return 'warn';
  return event.kind === 'summary' ? 'good' : 'plain';
}

function iconOf(event: RunEvent): IconName {
  const tone = toneOf(event);
  if (tone === 'bad') return 'error';
  if (tone === 'warn') return 'warning';
  if (event.kind === 'task') return 'node';
  if (event.status === 'done') return 'check';
  return event.status === 'started' ? 'play' : 'info';
}
