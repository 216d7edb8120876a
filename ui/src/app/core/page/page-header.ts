import { ChangeDetectionStrategy, Component, effect, inject, input } from '@angular/core';
import { Title } from '@angular/platform-browser';
import { RouterLink } from '@angular/router';

import { Icon } from '../icon/icon';

/**
 * The head of a page: title, one line of explanation, actions on the right
 * (projected). It also sets the title of the browser tab.
 */
@Component({
  selector: 'nb-page-header',
  imports: [Icon, RouterLink],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    @if (back(); as to) {
      <a class="back" [routerLink]="to.link"><nb-icon name="chevron" [size]="14" />{{ to.label }}</a>
    }
    <header>
      <div class="text">
        <h1>{{ heading() }}<ng-content select="[beside]" /></h1>
        @if (lead()) {
          <p class="soft">{{ lead() }}</p>
        }
      </div>
      <div class="row"><ng-content /></div>
    </header>
  `,
  styles: `
    :host {
      display: block;
      margin-bottom: var(--s5);
    }
    header {
      display: flex;
      flex-wrap: wrap;
      align-items: flex-end;
      justify-content: space-between;
      gap: var(--s3) var(--s5);
    }
    h1 {
      display: flex;
      flex-wrap: wrap;
      align-items: center;
      gap: var(--s2) var(--s3);
      overflow-wrap: anywhere;
    }
    .text {
      display: grid;
      gap: var(--s1);
      max-width: 46rem;
      min-width: 0;
    }
    .back {
      display: inline-flex;
      align-items: center;
      gap: var(--s1);
      margin-bottom: var(--s2);
      color: var(--ink-soft);
      font-size: var(--text-s);
      text-decoration: none;
    }
    .back:hover {
      color: var(--accent);
    }
    .back nb-icon {
      rotate: 180deg;
    }
  `,
})
export class PageHeader {
  private readonly title = inject(Title);

  readonly heading = input.required<string>();
  readonly lead = input('');
  /** The page this one lies under. */
  readonly back = input<{ link: string; label: string } | null>(null);

  constructor() {
    effect(() => this.title.setTitle(`${this.heading()} · Nimbus`));
  }
}
