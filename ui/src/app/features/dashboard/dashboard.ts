import { ChangeDetectionStrategy, Component } from '@angular/core';

import { PageHeader } from '@core/page/page-header';

/** The first page after signing in. */
@Component({
  selector: 'nb-dashboard',
  imports: [PageHeader],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `<nb-page-header i18n-heading heading="Dashboard" />`,
})
export class Dashboard {}
