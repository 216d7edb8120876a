import { ChangeDetectionStrategy, Component, DestroyRef, inject, input, output } from '@angular/core';

import { Icon } from '../icon/icon';

/** A search field above a list; tells the text when the person pauses. */
@Component({
  selector: 'nb-search-box',
  imports: [Icon],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <nb-icon name="search" [size]="16" />
    <input
      class="input"
      type="search"
      [attr.aria-label]="label()"
      [placeholder]="label()"
      [value]="text()"
      (input)="wait(field.value)"
      #field
    />
  `,
  styles: `
    :host {
      position: relative;
      display: block;
      flex: 0 1 22rem;
      min-width: 12rem;
    }
    nb-icon {
      position: absolute;
      top: 0.6rem;
      left: var(--s3);
      color: var(--ink-faint);
      pointer-events: none;
    }
    .input {
      padding-left: 2.25rem;
    }
  `,
})
export class SearchBox {
  readonly label = input.required<string>();
  readonly text = input('');
  readonly typed = output<string>();
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor() {
    inject(DestroyRef).onDestroy(() => clearTimeout(this.timer));
  }

  protected wait(text: string): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.typed.emit(text.trim()), 250);
  }
}
