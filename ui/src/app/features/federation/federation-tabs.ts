import { ChangeDetectionStrategy, Component } from '@angular/core';

import { SectionTab, SectionTabs } from '@core/page/section-tabs';

/** The pages about how people come in from elsewhere. */
@Component({
  selector: 'nb-federation-tabs',
  imports: [SectionTabs],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `<nb-section-tabs [tabs]="tabs" i18n-label label="Sign-in and provisioning" />`,
})
export class FederationTabs {
  protected readonly tabs: readonly SectionTab[] = [
    { link: '/identity-providers', label: $localize`Providers`, icon: 'external', exact: true },
    { link: '/identity-providers/scim', label: $localize`Provisioning`, icon: 'refresh' },
  ];
}
