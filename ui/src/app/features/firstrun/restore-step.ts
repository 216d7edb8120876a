import { ChangeDetectionStrategy, Component, DestroyRef, computed, effect, inject, output, signal } from '@angular/core';

import { Api } from '@core/api/api';
import { asProblem } from '@core/api/problem';
import { remote } from '@core/api/remote';
import { TargetKind, targetBody, targetFaults, targetForm } from '@core/backup/target';
import { TargetFields } from '@core/backup/target-fields';
import { action } from '@core/feedback/action';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Progress } from '@core/feedback/progress';
import { Choice, Option } from '@core/form/choice';
import { Field, FieldInput } from '@core/form/field';
import { BytesPipe } from '@core/format/bytes';
import { Icon } from '@core/icon/icon';
import { Time } from '@core/time/time';

import { Checklist } from './checklist';
import { Found, Inspection, Moment, Restoring, goesFurther, momentBody, momentFault } from './restore';
import { StepFrame } from './step-frame';

/** Brings an appliance back: where and with what, which backup, and how far it is. What was typed stays until it is done. */
@Component({
  selector: 'nb-restore-step',
  imports: [BytesPipe, Checklist, Choice, Field, FieldInput, Icon, ProblemNotice, Progress, StepFrame, TargetFields, Time],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './restore-step.html',
  styleUrl: './restore-step.scss',
})
export class RestoreStep {
  private readonly api = inject(Api);
  readonly left = output();

  protected readonly kind = signal<TargetKind>('directory');
  protected readonly form = targetForm();
  protected readonly kit = signal('');
  private readonly tried = signal(false);
  private readonly typed = signal(0);
  protected readonly faults = computed(() => {
    this.typed();
    return this.tried() ? targetFaults(this.kind(), this.form.getRawValue(), false) : {};
  });
  protected readonly kitFault = computed(() => (this.tried() && !this.kit().trim() ? $localize`Choose the file of the kit, or paste its text.` : ''));
  protected readonly looking = action();
  protected readonly starting = action();
  protected readonly found = signal<readonly Found[] | null>(null);
  protected readonly chosenId = signal('');
  protected readonly chosen = computed(() => this.found()?.find((one) => one.id === this.chosenId()) ?? null);
  protected readonly moment = signal<Moment>('backup');
  protected readonly own = signal('');
  protected readonly newRootKey = signal(false);
  protected readonly ownFault = computed(() => {
    const chosen = this.chosen();
    return chosen && this.moment() === 'own' && this.own() ? momentFault(chosen, this.own()) : '';
  });
  protected readonly restoring = remote<Restoring>(() => '/setup/restore');
  /** Set when a failed restore was read and something is corrected. */
  private readonly corrects = signal(false);
  protected readonly underWay = computed(() => {
    const state = this.restoring.value()?.state ?? 'idle';
    return this.ended() || state === 'running' || state === 'done' || (state === 'failed' && !this.corrects());
  });
  /** Done, and the restored appliance answers. */
  protected readonly ready = signal(false);
  protected readonly ended = signal(false);
  protected readonly failed = $localize`The restore failed.`;
  protected readonly goesFurther = goesFurther;
  protected readonly kinds: readonly Option<TargetKind>[] = [
    { value: 'directory', label: $localize`A directory`, text: $localize`On a disk or a share that is mounted on this machine.` },
    { value: 's3', label: $localize`Object storage`, text: $localize`A bucket that speaks S3.` },
    { value: 'sftp', label: $localize`An SFTP server`, text: $localize`Another machine that SSH reaches.` },
  ];

  constructor() {
    this.form.events.subscribe(() => this.typed.update((count) => count + 1));
    let timer: ReturnType<typeof setTimeout> | undefined;
    effect(() => {
      clearTimeout(timer);
      if (this.ready() || this.restoring.loading() || !this.underWay() || this.restoring.value()?.state === 'failed') return;
      timer = setTimeout(() => void this.follow(), 700);
    });
    inject(DestroyRef).onDestroy(() => clearTimeout(timer));
  }

  protected async read(files: FileList | null): Promise<void> {
    const file = files?.[0];
    if (file) this.kit.set(file.size < 100_000 ? await file.text() : '');
  }

  protected async look(): Promise<void> {
    this.tried.set(true);
    if (Object.keys(this.faults()).length > 0 || this.kitFault()) return;
    await this.looking.run(async () => {
      const { backups } = await this.api.post<Inspection>('/setup/restore/inspect', this.from());
      this.found.set(backups ?? []);
      this.chosenId.set(backups?.find((one) => !one.refused)?.id ?? '');
    });
  }

  protected choose(id: string): void {
    this.chosenId.set(id);
    this.moment.set('backup');
  }

  protected back(): void {
    this.found.set(null);
    this.starting.clear();
  }

  protected async start(): Promise<void> {
    const body = { ...this.from(), backup_id: this.chosenId(), ...momentBody(this.moment(), this.own()), new_root_key: this.newRootKey() };
    await this.starting.run(async () => {
      this.restoring.set(await this.api.post<Restoring>('/setup/restore', body));
      this.corrects.set(false);
    });
  }

  /** After a failure: back to the choice, with everything as it was. */
  protected correct(): void {
    this.corrects.set(true);
  }

  protected enter(): void {
    location.assign('/sign-in');
  }

  private from(): object {
    return { target: { ...targetBody(this.kind(), this.form.getRawValue()), has_secret: false }, key: this.kit() };
  }

  // Once it is done the appliance starts anew: when it asks who one is, it can be signed in to.
  private async follow(): Promise<void> {
    if (this.restoring.value()?.state !== 'done') return this.restoring.reload();
    this.ended.set(true);
    try {
      await this.api.get('/session', { keepSession: true });
    } catch (cause) {
      // Until it has started, it says that it is not available.
      if (asProblem(cause).code === 'unauthenticated') return this.ready.set(true);
    }
    await this.wait();
  }

  private async wait(): Promise<void> {
    await new Promise((done) => setTimeout(done, 1000));
    if (!this.ready()) await this.follow();
  }
}
