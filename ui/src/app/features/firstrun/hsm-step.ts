import { ChangeDetectionStrategy, Component, computed, inject, output, signal } from '@angular/core';
import { FormControl, FormGroup, ReactiveFormsModule } from '@angular/forms';

import { Api } from '@core/api/api';
import { action } from '@core/feedback/action';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Field, FieldInput } from '@core/form/field';
import { submit } from '@core/form/submit';

import { Checklist } from './checklist';
import { Choice, Option } from '@core/form/choice';
import { Setup } from './setup';
import { StepFrame } from './step-frame';

type Mode = 'none' | 'softhsm' | 'pkcs11';

/** One slot of a PKCS#11 module. */
interface Slot {
  slot: number;
  label: string;
  manufacturer: string;
  model: string;
  serial: string;
  initialised: boolean;
}

/** What a trial signature came to. */
interface HsmTest {
  ok: boolean;
  message: string;
  key_type: string;
}

/** Whether a hardware security module guards the root key and break-glass. */
@Component({
  selector: 'nb-hsm-step',
  imports: [Checklist, Choice, Field, FieldInput, ProblemNotice, ReactiveFormsModule, StepFrame],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './hsm-step.html',
})
export class HsmStep {
  private readonly api = inject(Api);
  private readonly setup = inject(Setup);
  readonly saved = output();

  protected readonly mode = signal<Mode>(this.setup.answer('hsm', 'mode', 'none') as Mode);
  protected readonly form = new FormGroup({
    module: text(this.setup.answer('hsm', 'module')),
    slot: text(this.setup.answer('hsm', 'slot')),
    token_label: text(this.setup.answer('hsm', 'token_label')),
    pin: text(''),
  });
  protected readonly sending = submit(this.form);
  protected readonly working = action();
  protected readonly slots = signal<readonly Slot[] | null>(null);
  protected readonly tested = signal<HsmTest | null>(null);
  protected readonly ready = computed(() => this.mode() === 'none' || this.tested()?.ok === true);
  protected readonly fixed = computed(() => this.setup.isFixed('hsm'));
  protected readonly options: readonly Option<Mode>[] = [
    {
      value: 'none',
      label: $localize`None`,
      text: $localize`The root key lies encrypted on this machine. You can add a module later.`,
    },
    {
      value: 'softhsm',
      label: $localize`SoftHSM`,
      text: $localize`A module in software: for trying things out, or until the hardware comes. Nimbus makes the token.`,
    },
    {
      value: 'pkcs11',
      label: $localize`Hardware by PKCS#11`,
      text: $localize`A YubiHSM, Nitrokey, SmartCard-HSM or network HSM with its vendor’s module.`,
    },
  ];

  protected choose(mode: Mode): void {
    this.mode.set(mode);
    this.tested.set(null);
    this.working.clear();
  }

  protected async readSlots(): Promise<void> {
    const { module } = this.form.getRawValue();
    await this.working.run(async () =>
      this.slots.set((await this.api.post<{ slots: Slot[] }>('/setup/hsm/slots', { module })).slots),
    );
  }

  protected async test(): Promise<void> {
    this.tested.set(null);
    await this.working.run(async () =>
      this.tested.set(await this.api.post<HsmTest>('/setup/hsm/test', this.body())),
    );
  }

  protected async send(): Promise<void> {
    if (!this.ready()) return this.test();
    await this.sending.run(async () => {
      const answer = await this.setup.save<HsmTest>('hsm', this.body());
      // A token that does not sign is an answer and not a failure: nothing was kept.
      if (answer.ok) this.saved.emit();
      else this.tested.set(answer);
    });
  }

  private body(): object {
    const mode = this.mode();
    if (mode !== 'pkcs11') return { mode };
    const { module, slot, token_label, pin } = this.form.getRawValue();
    return { mode, module, token_label, pin, ...(slot === '' ? {} : { slot: Number(slot) }) };
  }
}

function text(value: string): FormControl<string> {
  return new FormControl(value, { nonNullable: true });
}
