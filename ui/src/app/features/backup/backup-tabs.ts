import { ChangeDetectionStrategy, Component } from '@angular/core';

import { SectionTab, SectionTabs } from '@core/page/section-tabs';

/** The pages about backups. */
@Component({
  selector: 'nb-backup-tabs',
  imports: [SectionTabs],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `<nb-section-tabs [tabs]="tabs" i18n-label label="Backups" />`,
})
export class BackupTabs {
  protected readonly tabs: readonly SectionTab[] = [
    { link: '/backups', label: $localize`Backups`, icon: 'archive', exact: true },
    { link: '/backups/settings', label: $localize`Settings`, icon: 'settings' },
  ];
}
