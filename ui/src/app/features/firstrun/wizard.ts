import { ChangeDetectionStrategy, Component, computed, effect, inject, signal, untracked } from '@angular/core';
import { Title } from '@angular/platform-browser';

import { Api } from '@core/api/api';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Icon } from '@core/icon/icon';

import { Brand } from '../../shell/brand';
import { ApplianceStep } from './appliance-step';
import { BeginStep } from './begin-step';
import { DatabaseStep } from './database-step';
import { DoneStep } from './done-step';
import { HsmStep } from './hsm-step';
import { OrganisationStep } from './organisation-step';
import { ProxmoxStep } from './proxmox-step';
import { RecoveryKitStep } from './recovery-kit-step';
import { RestoreStep } from './restore-step';
import { Setup, StepName, stepNames } from './setup';
import { TokenStep } from './token-step';

type Place = StepName | 'begin' | 'restore' | 'done';

/** Setting up a fresh appliance: each step can be gone back to, the server keeps every answer. */
@Component({
  selector: 'nb-wizard',
  imports: [
    ApplianceStep,
    BeginStep,
    Brand,
    DatabaseStep,
    DoneStep,
    HsmStep,
    Icon,
    OrganisationStep,
    ProblemNotice,
    ProxmoxStep,
    RecoveryKitStep,
    RestoreStep,
    TokenStep,
  ],
  providers: [Setup],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './wizard.html',
  styleUrl: './wizard.scss',
})
export class Wizard {
  private readonly api = inject(Api);
  protected readonly setup = inject(Setup);
  protected readonly listed = computed(() => !['begin', 'restore'].includes(this.place()));
  protected readonly steps = stepNames;
  private readonly chosen = signal<Place | null>(null);
  protected readonly place = computed<Place>(() => this.chosen() ?? 'appliance');

  constructor() {
    inject(Title).setTitle($localize`Set up · Nimbus`);
    // Begins where the person left off, also in another browser.
    effect(() => {
      if (!this.setup.authenticated() || untracked(this.chosen)) return;
      this.chosen.set(untracked(this.setup.untouched) ? 'begin' : (untracked(this.setup.firstOpen) ?? 'done'));
      if (untracked(this.setup.untouched)) void this.goOnRestoring();
    });
  }

  /** A restore that was begun, here or in another browser, is shown. */
  private async goOnRestoring(): Promise<void> {
    const told = await this.api.get<{ state: string }>('/setup/restore').catch(() => null);
    if (told && told.state !== 'idle') this.chosen.set('restore');
  }

  protected label(name: StepName): string {
    const words: Readonly<Record<StepName, string>> = {
      appliance: $localize`Appliance`,
      database: $localize`Database`,
      hsm: $localize`Security module`,
      organisation: $localize`Organisation`,
      proxmox: $localize`Proxmox`,
      recovery_kit: $localize`Recovery kit`,
    };
    return words[name];
  }

  /** Steps that are done, and the first that is not, can be opened. */
  protected reachable(name: StepName): boolean {
    return this.setup.isDone(name) || this.setup.firstOpen() === name;
  }

  protected go(place: Place): void {
    this.chosen.set(place);
    scrollTo({ top: 0 });
    setTimeout(() => document.querySelector<HTMLElement>('main h1')?.focus());
  }

  protected next(after: StepName): void {
    this.go(stepNames[stepNames.indexOf(after) + 1] ?? 'done');
  }
}
