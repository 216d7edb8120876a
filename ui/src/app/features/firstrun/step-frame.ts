import { ChangeDetectionStrategy, Component, input } from '@angular/core';

/** The head of a step and its content, projected. */
@Component({
  selector: 'nb-step-frame',
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <header>
      <h1 tabindex="-1">{{ heading() }}</h1>
      <p class="soft">{{ lead() }}</p>
    </header>
    <ng-content />
  `,
  styles: `
    :host {
      display: grid;
      gap: var(--s5);
      grid-template-columns: minmax(0, 1fr);
    }
    header {
      display: grid;
      gap: var(--s2);
    }
    h1 {
      outline: 0;
    }
  `,
})
export class StepFrame {
  readonly heading = input.required<string>();
  readonly lead = input.required<string>();
}
