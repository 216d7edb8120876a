import { ChangeDetectionStrategy, Component, input } from '@angular/core';
import { RouterLink, RouterLinkActive } from '@angular/router';

import { Icon } from '../icon/icon';
import { IconName } from '../icon/icons';

/** One page of a section. */
export interface SectionTab {
  link: string;
  label: string;
  icon: IconName;
  /** Set for the section's first page, whose address the others begin with. */
  exact?: boolean;
}

/** The pages of a section as a row of links above them. */
@Component({
  selector: 'nb-section-tabs',
  imports: [Icon, RouterLink, RouterLinkActive],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <nav [attr.aria-label]="label()">
      @for (tab of tabs(); track tab.link) {
        <a
          [routerLink]="tab.link"
          routerLinkActive="here"
          ariaCurrentWhenActive="page"
          [routerLinkActiveOptions]="{ exact: tab.exact ?? false }"
          (isActiveChange)="$event && link.scrollIntoView({ block: 'nearest', inline: 'nearest' })"
          #link
        >
          <nb-icon [name]="tab.icon" [size]="16" />{{ tab.label }}
        </a>
      }
    </nav>
  `,
  styles: `
    :host {
      display: block;
      margin-bottom: var(--s4);
    }
    nav {
      display: flex;
      gap: var(--s1);
      overflow-x: auto;
      padding: 2px;
    }
    a {
      display: inline-flex;
      align-items: center;
      gap: var(--s2);
      min-height: var(--control);
      padding: 0 var(--s3);
      border-radius: var(--radius-s);
      color: var(--ink-soft);
      font-weight: 500;
      text-decoration: none;
      white-space: nowrap;
    }
    a:hover {
      background: var(--surface-hover);
      color: var(--ink);
    }
    a.here {
      background: var(--accent-wash);
      color: var(--accent-strong);
    }
  `,
})
export class SectionTabs {
  readonly label = input.required<string>();
  readonly tabs = input.required<readonly SectionTab[]>();
}
