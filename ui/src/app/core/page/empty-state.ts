import { ChangeDetectionStrategy, Component, input } from '@angular/core';

import { Icon } from '../icon/icon';
import { IconName } from '../icon/icons';

/** What stands where nothing is yet: what belongs here and, projected, what to do next. */
@Component({
  selector: 'nb-empty',
  imports: [Icon],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <span class="disc"><nb-icon [name]="icon()" [size]="22" /></span>
    <h2>{{ heading() }}</h2>
    <p class="soft">{{ text() }}</p>
    <div class="row"><ng-content /></div>
  `,
  styles: `
    :host {
      display: grid;
      justify-items: center;
      gap: var(--s2);
      padding: var(--s6) var(--s4);
      text-align: center;
    }
    .disc {
      display: grid;
      place-items: center;
      width: 3rem;
      height: 3rem;
      border-radius: 50%;
      background: var(--accent-wash);
      color: var(--accent);
      margin-bottom: var(--s1);
    }
    p {
      max-width: 30rem;
    }
    .row {
      justify-content: center;
      margin-top: var(--s2);
    }
    .row:empty {
      display: none;
    }
  `,
})
export class EmptyState {
  readonly icon = input<IconName>('info');
  readonly heading = input.required<string>();
  /** One or two sentences: why it is empty and what to do. */
  readonly text = input('');
}
