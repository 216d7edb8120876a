import { ChangeDetectionStrategy, Component, computed, input } from '@angular/core';

import { IconName, icons } from './icons';

/** An icon beside a text. It is decoration: give lone icon buttons an aria-label. */
@Component({
  selector: 'nb-icon',
  changeDetection: ChangeDetectionStrategy.OnPush,
  host: { 'aria-hidden': 'true' },
  template: `
    <svg
      viewBox="0 0 20 20"
      fill="none"
      stroke="currentColor"
      stroke-width="1.5"
      stroke-linecap="round"
      stroke-linejoin="round"
      [attr.width]="size()"
      [attr.height]="size()"
    >
      <path [attr.d]="path()" />
    </svg>
  `,
  styles: `
    :host {
      display: inline-flex;
      flex: none;
    }
  `,
})
export class Icon {
  readonly name = input.required<IconName>();
  /** Edge length in pixels. */
  readonly size = input(18);
  protected readonly path = computed(() => icons[this.name()]);
}
