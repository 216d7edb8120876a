import { ChangeDetectionStrategy, Component, computed, inject, input } from '@angular/core';

import { Deployment, Operation, Step, isOver } from '@core/deployment/deployment';
import { Icon } from '@core/icon/icon';
import { IconName } from '@core/icon/icons';
import { Clock } from '@core/time/clock';
import { duration } from '@core/time/format';

type StageState = 'waiting' | 'running' | 'done' | 'failed' | 'skipped';

/** One stage of a run as the stepper shows it. */
interface Stage {
  name: string;
  label: string;
  state: StageState;
  icon: IconName | null;
  word: string;
  took: string;
  detail: string;
}

/** The stages of a run in order: planned, approved, applied, verified, and undone if that was needed. */
@Component({
  selector: 'nb-stepper',
  imports: [Icon],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <ol i18n-aria-label aria-label="Stages of this deployment">
      @for (stage of stages(); track stage.name) {
        <li [class]="stage.state" [attr.aria-current]="stage.state === 'running' ? 'step' : null">
          <span class="mark" aria-hidden="true">
            @if (stage.icon; as icon) {
              <nb-icon [name]="icon" [size]="14" />
            } @else {
              {{ $index + 1 }}
            }
          </span>
          <span class="text">
            <b>{{ stage.label }}</b>
            <span class="small-text soft">{{ stage.word }}{{ stage.took ? ' · ' + stage.took : '' }}</span>
            @if (stage.detail) {
              <span class="small-text soft">{{ stage.detail }}</span>
            }
          </span>
        </li>
      }
    </ol>
  `,
  styleUrl: './stepper.scss',
})
export class Stepper {
  private readonly clock = inject(Clock);
  readonly deployment = input.required<Deployment>();

  protected readonly stages = computed<Stage[]>(() => {
    const { operation, steps, status } = this.deployment();
    const known = new Map(steps.map((step) => [canonical(step.name), step]));
    return stageNames(operation, known).map((name) => this.stage(name, known.get(name), isOver(status)));
  });

  private stage(name: string, step: Step | undefined, over: boolean): Stage {
    const state = stateOf(step, over);
    const detail = step?.detail ?? '';
    return { name, label: labelOf(name), state, icon: icons[state], word: wordOf(name, state), took: this.took(step), detail };
  }

  private took(step: Step | undefined): string {
    if (!step?.started_at) return '';
    const end = step.ended_at ? Date.parse(step.ended_at) : this.clock.now();
    return duration((end - Date.parse(step.started_at)) / 1000);
  }
}

const icons: Readonly<Record<StageState, IconName | null>> = {
  waiting: null,
  running: 'clock',
  done: 'check',
  failed: 'close',
  skipped: 'arrow',
};

function canonical(name: string): string {
  return name === 'apply' ? 'execute' : name;
}

function stageNames(operation: Operation, known: ReadonlyMap<string, Step>): string[] {
  const planned = operation === 'preview' ? ['preview'] : ['preview', 'approval', 'execute', 'verify'];
  return known.has('compensate') ? [...planned, 'compensate'] : planned;
}

function stateOf(step: Step | undefined, over: boolean): StageState {
  switch (step?.status) {
    case undefined:
      return over ? 'skipped' : 'waiting';
    case 'succeeded':
      return 'done';
    case 'running':
      return 'running';
    case 'pending':
      return 'waiting';
    case 'skipped':
      return 'skipped';
    default:
      return 'failed';
  }
}

function labelOf(name: string): string {
  const labels: Readonly<Record<string, string>> = {
    preview: $localize`Plan`,
    approval: $localize`Approval`,
    execute: $localize`Apply`,
    verify: $localize`Verify`,
    compensate: $localize`Undo`,
  };
  return labels[name] ?? name;
}

function wordOf(name: string, state: StageState): string {
  switch (state) {
    case 'waiting':
      return $localize`to come`;
    case 'running':
      return name === 'approval' ? $localize`waits for a person` : $localize`running`;
    case 'done':
      return $localize`done`;
    case 'failed':
      return name === 'approval' ? $localize`not given` : $localize`did not finish`;
    case 'skipped':
      return $localize`not needed or not reached`;
  }
}
