import { ChangeDetectionStrategy, Component, input } from '@angular/core';

/** What a state means to the person. */
export type Tone = 'good' | 'warn' | 'bad' | 'busy' | 'plain';

/** A state in one or two words, with a dot; the word carries the meaning, not the colour. */
@Component({
  selector: 'nb-badge',
  changeDetection: ChangeDetectionStrategy.OnPush,
  host: { '[class]': "'tone-' + tone()", '[class.bare]': 'bare()' },
  template: `<span class="dot" [class.pulse]="tone() === 'busy'"></span><ng-content />`,
  styles: `
    :host {
      display: inline-flex;
      align-items: center;
      gap: 0.4rem;
      padding: 0.05rem 0.5rem;
      border-radius: 1rem;
      background: var(--tone-wash, var(--surface-sunken));
      color: var(--tone, var(--ink-soft));
      font-size: var(--text-s);
      font-weight: 500;
      letter-spacing: 0;
      line-height: 1.35rem;
      white-space: nowrap;
    }
    :host(.bare) {
      padding: 0;
      background: none;
    }
    .dot {
      width: 0.4375rem;
      height: 0.4375rem;
      border-radius: 50%;
      background: currentColor;
    }
    .pulse {
      animation: pulse 1.4s ease-in-out infinite;
    }
    @keyframes pulse {
      50% {
        opacity: 0.3;
      }
    }
  `,
})
export class Badge {
  readonly tone = input<Tone>('plain');
  /** Only the dot and the word, for dense tables. */
  readonly bare = input(false);
}
