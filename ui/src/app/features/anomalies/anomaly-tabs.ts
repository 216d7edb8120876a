import { ChangeDetectionStrategy, Component } from '@angular/core';

import { SectionTab, SectionTabs } from '@core/page/section-tabs';

/** The pages about anomalies. */
@Component({
  selector: 'nb-anomaly-tabs',
  imports: [SectionTabs],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `<nb-section-tabs [tabs]="tabs" i18n-label label="Anomalies" />`,
})
export class AnomalyTabs {
  protected readonly tabs: readonly SectionTab[] = [
    { link: '/anomalies', label: $localize`Findings`, icon: 'anomaly', exact: true },
    { link: '/anomalies/rules', label: $localize`Rules`, icon: 'settings' },
  ];
}
