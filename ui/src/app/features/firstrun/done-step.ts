import { ChangeDetectionStrategy, Component, inject } from '@angular/core';
import { Router } from '@angular/router';

import { action } from '@core/feedback/action';
import { ProblemNotice } from '@core/feedback/problem-notice';

import { Setup } from './setup';
import { StepFrame } from './step-frame';

/** The last look before the wizard is closed for ever. */
@Component({
  selector: 'nb-done-step',
  imports: [ProblemNotice, StepFrame],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <nb-step-frame
      i18n-heading
      heading="Ready"
      i18n-lead
      lead="Finishing closes this wizard for good; everything here can be changed later by an administrator."
    >
      <dl class="facts">
        @for (fact of facts; track fact.label) {
          <div>
            <dt>{{ fact.label }}</dt>
            <dd>{{ fact.value || '–' }}</dd>
          </div>
        }
      </dl>
      <nb-problem [problem]="finishing.problem()" />
      <div class="row end">
        <button type="button" class="button primary" [disabled]="finishing.busy()" (click)="finish()" i18n>
          Finish and sign in
        </button>
      </div>
    </nb-step-frame>
  `,
})
export class DoneStep {
  private readonly setup = inject(Setup);
  private readonly router = inject(Router);
  protected readonly finishing = action();
  protected readonly facts = [
    { label: $localize`Appliance`, value: this.setup.answer('appliance', 'name') },
    { label: $localize`Address`, value: this.setup.answer('appliance', 'url') },
    { label: $localize`Database`, value: this.word('database') },
    { label: $localize`Security module`, value: this.word('hsm') },
    { label: $localize`First tenant`, value: this.setup.answer('organisation', 'tenant_name') },
    { label: $localize`Administrator`, value: this.setup.answer('organisation', 'admin_email') },
    { label: $localize`Proxmox`, value: this.setup.answer('proxmox', 'url') || this.word('proxmox') },
  ];

  protected async finish(): Promise<void> {
    if (await this.finishing.run(() => this.setup.complete())) await this.router.navigateByUrl('/sign-in');
  }

  private word(step: 'database' | 'hsm' | 'proxmox'): string {
    const words: Readonly<Record<string, string>> = {
      embedded: $localize`built in`,
      external: $localize`external server`,
      none: $localize`none`,
      softhsm: $localize`SoftHSM`,
      pkcs11: $localize`hardware by PKCS#11`,
      real: $localize`connected`,
      simulated: $localize`simulated cluster`,
      later: $localize`later`,
    };
    const mode = this.setup.answer(step, 'mode');
    return words[mode] ?? mode;
  }
}
