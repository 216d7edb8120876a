import { ChangeDetectionStrategy, Component, computed, inject, input } from '@angular/core';

import { Clock } from './clock';
import { localTime, relativeTime, utcTime } from './format';
import { offset } from './zone';

/**
 * A moment: in the tenant's time zone, or the browser's where none was chosen, with the
 * zone's offset and UTC on hover; or how long ago, with all of that on hover.
 */
@Component({
  selector: 'nb-time',
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `<time [attr.datetime]="at()" [title]="title()">{{ text() }}</time>`,
  styles: `
    time {
      white-space: nowrap;
    }
  `,
})
export class Time {
  private readonly clock = inject(Clock);

  /** RFC 3339, or null for a moment that has not come. */
  readonly at = input.required<string | null | undefined>();
  /** Shows "3 minutes ago" instead of the clock time. */
  readonly relative = input(false);
  /** What stands there when `at` is null. */
  readonly none = input('–');

  private readonly date = computed(() => {
    const at = this.at();
    return at ? new Date(at) : null;
  });
  protected readonly text = computed(() => {
    const date = this.date();
    if (!date) return this.none();
    return this.relative() ? relativeTime(date, this.clock.now()) : localTime(date);
  });
  protected readonly title = computed(() => {
    const date = this.date();
    if (!date) return '';
    const zoned = `${offset(date)} · ${utcTime(date)}`;
    return this.relative() ? `${localTime(date)} ${zoned}` : zoned;
  });
}
