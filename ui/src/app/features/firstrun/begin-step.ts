import { ChangeDetectionStrategy, Component, output, signal } from '@angular/core';

import { Choice, Option } from '@core/form/choice';

import { StepFrame } from './step-frame';

/** How an appliance begins. */
export type Beginning = 'new' | 'restore';

/** The first screen: a new appliance, or one that was lost. */
@Component({
  selector: 'nb-begin-step',
  imports: [Choice, StepFrame],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <nb-step-frame i18n-heading heading="How do you want to begin?" i18n-lead lead="Nothing is on this machine yet.">
      <nb-choice i18n-legend legend="How to begin" [options]="options" [(value)]="beginning" />
      <div class="row end">
        <button type="button" class="button primary" (click)="chosen.emit(beginning())" i18n>Continue</button>
      </div>
    </nb-step-frame>
  `,
})
export class BeginStep {
  readonly chosen = output<Beginning>();
  protected readonly beginning = signal<Beginning>('new');
  protected readonly options: readonly Option<Beginning>[] = [
    { value: 'new', label: $localize`Set up new`, text: $localize`Six steps, about two minutes. Each can be gone back to.` },
    {
      value: 'restore',
      label: $localize`Restore from a backup`,
      text: $localize`Brings an appliance back as it was, with its tenants, people and audit trail. You need its recovery kit and the place where its backups lie.`,
    },
  ];
}
