import { ChangeDetectionStrategy, Component, input } from '@angular/core';

/** How far something long is: a bar, and below it what is being done. */
@Component({
  selector: 'nb-progress',
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <progress max="100" [value]="percent()" [attr.aria-label]="label()"></progress>
    <p class="small-text soft">
      @if (stage()) {
        {{ stage() }} · <span class="nowrap">{{ percent() }} %</span>
      } @else {
        <ng-container i18n>Starting …</ng-container>
      }
    </p>
  `,
  styles: `
    :host {
      display: grid;
      gap: var(--s1);
    }
    progress {
      width: 100%;
      height: 0.5rem;
      border: 0;
      border-radius: 4px;
      overflow: hidden;
      background: var(--line);
      appearance: none;
    }
    progress::-webkit-progress-bar {
      background: var(--line);
    }
    progress::-webkit-progress-value {
      background: var(--accent);
      transition: width 300ms ease-out;
    }
    progress::-moz-progress-bar {
      background: var(--accent);
    }
  `,
})
export class Progress {
  /** Names what is being done for screen readers. */
  readonly label = input.required<string>();
  readonly stage = input('');
  readonly percent = input(0);
}
