import { ChangeDetectionStrategy, Component } from '@angular/core';

import { SectionTab, SectionTabs } from '@core/page/section-tabs';

/** The pages about who is in the tenant. */
@Component({
  selector: 'nb-people-tabs',
  imports: [SectionTabs],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `<nb-section-tabs [tabs]="tabs" i18n-label label="People and accounts" />`,
})
export class PeopleTabs {
  protected readonly tabs: readonly SectionTab[] = [
    { link: '/users', label: $localize`Members`, icon: 'users', exact: true },
    { link: '/users/groups', label: $localize`Groups`, icon: 'group' },
    { link: '/users/service-accounts', label: $localize`Service accounts`, icon: 'robot' },
    { link: '/users/invitations', label: $localize`Invitations`, icon: 'mail' },
  ];
}
