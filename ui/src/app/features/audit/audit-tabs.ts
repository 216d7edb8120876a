import { ChangeDetectionStrategy, Component } from '@angular/core';

import { SectionTab, SectionTabs } from '@core/page/section-tabs';

/** The pages of the audit trail. */
@Component({
  selector: 'nb-audit-tabs',
  imports: [SectionTabs],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `<nb-section-tabs [tabs]="tabs" i18n-label label="Audit trail" />`,
})
export class AuditTabs {
  protected readonly tabs: readonly SectionTab[] = [
    { link: '/audit', label: $localize`Explorer`, icon: 'audit', exact: true },
    { link: '/audit/live', label: $localize`Live`, icon: 'health' },
    { link: '/audit/timeline', label: $localize`Timeline`, icon: 'history' },
    { link: '/audit/verify', label: $localize`Verify`, icon: 'approval' },
    { link: '/audit/exports', label: $localize`Exports`, icon: 'download' },
  ];
}
