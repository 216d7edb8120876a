import { ChangeDetectionStrategy, Component, DestroyRef, computed, effect, inject, output, signal } from '@angular/core';
import { FormControl, FormGroup, ReactiveFormsModule } from '@angular/forms';

import { Api } from '@core/api/api';
import { action } from '@core/feedback/action';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Field, FieldInput } from '@core/form/field';
import { submit } from '@core/form/submit';

import { Check, Checklist } from './checklist';
import { Choice, Option } from '@core/form/choice';
import { Progress, Setup } from './setup';
import { StepFrame } from './step-frame';

type Mode = 'embedded' | 'external';

/** What a test of an external server found. */
interface DatabaseTest {
  ok: boolean;
  message: string;
  version: string;
  checks: Check[] | null;
}

/** The built-in Postgres or an external one; preparing it takes a few seconds and shows how far it is. */
@Component({
  selector: 'nb-database-step',
  imports: [Checklist, Choice, Field, FieldInput, ProblemNotice, ReactiveFormsModule, StepFrame],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './database-step.html',
  styleUrl: './database-step.scss',
})
export class DatabaseStep {
  private readonly api = inject(Api);
  protected readonly setup = inject(Setup);
  readonly saved = output();

  protected readonly mode = signal<Mode>(this.setup.answer('database', 'mode', 'embedded') as Mode);
  protected readonly form = new FormGroup({ dsn: new FormControl('', { nonNullable: true }) });
  protected readonly sending = submit(this.form);
  protected readonly testing = action();
  protected readonly tested = signal<DatabaseTest | null>(null);
  private readonly again = signal(false);
  protected readonly done = computed(() => this.setup.isDone('database') && !this.again());
  protected readonly fixed = computed(() => this.setup.isFixed('database'));
  private readonly started = signal(false);
  protected readonly progress = computed(
    () => (this.setup.step('database')?.answers?.['progress'] as Progress | null | undefined) ?? null,
  );
  /** True while the server prepares the database, also after the page was opened again. */
  protected readonly preparing = computed(() => {
    const progress = this.progress();
    const running = progress ? !progress.error : this.started();
    return !this.done() && !this.again() && running;
  });
  protected readonly options: readonly Option<Mode>[] = [
    {
      value: 'embedded',
      label: $localize`The built-in one`,
      text: $localize`Postgres comes with Nimbus and is looked after by it. Right for one machine.`,
    },
    {
      value: 'external',
      label: $localize`An existing Postgres server`,
      text: $localize`For several machines, or where somebody looks after databases already.`,
    },
  ];

  constructor() {
    let timer: ReturnType<typeof setTimeout> | undefined;
    effect(() => {
      clearTimeout(timer);
      if (this.setup.state.loading() || !this.preparing()) return;
      timer = setTimeout(() => void this.setup.state.reload(), 500);
    });
    inject(DestroyRef).onDestroy(() => clearTimeout(timer));
    effect(() => {
      if (this.done() && this.started()) this.saved.emit();
    });
  }

  /** Opens the form of a database that is ready but holds nothing yet. */
  protected chooseAgain(): void {
    this.again.set(true);
  }

  protected choose(mode: Mode): void {
    this.mode.set(mode);
    this.tested.set(null);
  }

  protected async test(): Promise<void> {
    const body = { mode: 'external', ...this.form.getRawValue() };
    await this.testing.run(async () =>
      this.tested.set(await this.api.post<DatabaseTest>('/setup/database/test', body)),
    );
  }

  protected async send(): Promise<void> {
    const mode = this.mode();
    const body = mode === 'external' ? { mode, ...this.form.getRawValue() } : { mode };
    if (await this.sending.run(() => this.setup.save('database', body))) {
      this.again.set(false);
      this.started.set(true);
    }
  }
}
