import { ChangeDetectionStrategy, Component } from '@angular/core';
import { RouterLink } from '@angular/router';

import { EmptyState } from '@core/page/empty-state';
import { PageHeader } from '@core/page/page-header';

/** The page for an address that leads nowhere. */
@Component({
  selector: 'nb-not-found',
  imports: [EmptyState, PageHeader, RouterLink],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <nb-page-header i18n-heading heading="Page not found" />
    <nb-empty
      class="card"
      icon="search"
      i18n-heading
      heading="There is nothing at this address"
      i18n-text
      text="The link may be old, or the thing belongs to another tenant. Switch the tenant, or begin at the dashboard."
    >
      <a class="button primary" routerLink="/" i18n>Go to the dashboard</a>
    </nb-empty>
  `,
})
export class NotFound {}
