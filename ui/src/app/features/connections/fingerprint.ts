import { ChangeDetectionStrategy, Component, computed, input } from '@angular/core';

/** A SHA-256 fingerprint in lines of eight pairs, easy to compare by eye. */
@Component({
  selector: 'nb-fingerprint',
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <code>
      @for (pair of pairs(); track $index) {
        <span [class.differs]="against() && pair !== other()[$index]">{{ pair }}</span>
      }
    </code>
  `,
  styles: `
    code {
      display: grid;
      grid-template-columns: repeat(8, max-content);
      gap: 0.15rem 0.6rem;
      font-size: var(--text-s);
    }
    .differs {
      background: var(--warn-wash);
      color: var(--warn);
      box-shadow: 0 0 0 2px var(--warn-wash);
      border-radius: 2px;
    }
  `,
})
export class Fingerprint {
  readonly value = input.required<string>();
  /** Marks the pairs that differ from this one. */
  readonly against = input('');
  protected readonly pairs = computed(() => this.value().toUpperCase().split(':'));
  protected readonly other = computed(() => this.against().toUpperCase().split(':'));
}
