import { ChangeDetectionStrategy, Component, computed, inject, output, signal } from '@angular/core';

import { Api } from '@core/api/api';
import { action } from '@core/feedback/action';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Field, FieldInput } from '@core/form/field';
import { Icon } from '@core/icon/icon';

import { Checklist } from './checklist';
import { Setup } from './setup';
import { StepFrame } from './step-frame';

/** What is needed to restore a backup and to open break-glass, shown once. */
interface Kit {
  kit: string;
  file_name: string;
}

/** The outcome of the trial decryption. */
interface Trial {
  ok: boolean;
  message: string;
}

/** Gives out the recovery kit and proves by a trial decryption that the person really has it. */
@Component({
  selector: 'nb-recovery-kit-step',
  imports: [Checklist, Field, FieldInput, Icon, ProblemNotice, StepFrame],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './recovery-kit-step.html',
})
export class RecoveryKitStep {
  private readonly api = inject(Api);
  private readonly setup = inject(Setup);
  readonly saved = output();

  protected readonly working = action();
  protected readonly downloaded = signal(false);
  protected readonly entered = signal('');
  protected readonly trial = signal<Trial | null>(null);
  protected readonly done = computed(() => this.setup.isDone('recovery_kit'));

  protected async download(): Promise<void> {
    await this.working.run(async () => {
      saveFile(await this.api.post<Kit>('/setup/recovery-kit'));
      this.downloaded.set(true);
      this.trial.set(null);
      this.entered.set('');
      await this.setup.state.reload();
    });
  }

  protected async read(files: FileList | null): Promise<void> {
    const file = files?.[0];
    if (!file) return;
    this.entered.set(file.size < 100_000 ? await file.text() : '');
    await this.verify();
  }

  protected async verify(): Promise<void> {
    await this.working.run(async () => {
      this.trial.set(await this.api.post<Trial>('/setup/recovery-kit/verify', { kit: this.entered() }));
      await this.setup.state.reload();
    });
  }
}

function saveFile(kit: Kit): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([kit.kit], { type: 'text/plain' }));
  link.download = kit.file_name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
