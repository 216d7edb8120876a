import { Clipboard } from '@angular/cdk/clipboard';
import { ChangeDetectionStrategy, Component, computed, inject, input, signal } from '@angular/core';

import { Icon } from '../icon/icon';

/** An identifier in short form; a click copies the whole of it. */
@Component({
  selector: 'nb-id',
  imports: [Icon],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <button type="button" [title]="value()" (click)="copy()">
      <span class="visually-hidden" i18n>Copy</span>
      <span class="mono">{{ short() }}</span>
      <nb-icon [name]="copied() ? 'check' : 'copy'" [size]="13" />
    </button>
    <span class="visually-hidden" aria-live="polite">{{ copied() ? done : '' }}</span>
  `,
  styles: `
    button {
      display: inline-flex;
      align-items: center;
      gap: var(--s1);
      min-height: 1.5rem;
      padding: 0 var(--s1);
      margin-left: calc(var(--s1) * -1);
      border: 0;
      border-radius: var(--radius-s);
      background: none;
      color: var(--ink-soft);
      text-align: left;
      cursor: pointer;
    }
    button:hover {
      background: var(--surface-hover);
      color: var(--ink);
    }
    nb-icon {
      opacity: 0.75;
    }
  `,
})
export class CopyId {
  private readonly clipboard = inject(Clipboard);

  readonly value = input.required<string>();
  /** Shows the whole identifier and not only its end. */
  readonly full = input(false);

  protected readonly copied = signal(false);
  protected readonly done = $localize`Copied`;
  protected readonly short = computed(() => {
    const value = this.value();
    return this.full() || value.length <= 14 ? value : `…${value.slice(-8)}`;
  });

  protected copy(): void {
    this.copied.set(this.clipboard.copy(this.value()));
    setTimeout(() => this.copied.set(false), 2000);
  }
}
