import { ChangeDetectionStrategy, Component } from '@angular/core';

import { SectionTab, SectionTabs } from '@core/page/section-tabs';

/** The pages about who may do what. */
@Component({
  selector: 'nb-permission-tabs',
  imports: [SectionTabs],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `<nb-section-tabs [tabs]="tabs" i18n-label label="Roles and permissions" />`,
})
export class PermissionTabs {
  protected readonly tabs: readonly SectionTab[] = [
    { link: '/roles', label: $localize`Roles`, icon: 'role', exact: true },
    { link: '/roles/grants', label: $localize`Direct grants`, icon: 'user' },
    { link: '/roles/explain', label: $localize`Explain`, icon: 'search' },
    { link: '/roles/simulate', label: $localize`Simulate`, icon: 'play' },
  ];
}
