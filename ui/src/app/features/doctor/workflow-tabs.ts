import { ChangeDetectionStrategy, Component } from '@angular/core';

import { SectionTab, SectionTabs } from '@core/page/section-tabs';

/** The pages about what runs inside. */
@Component({
  selector: 'nb-workflow-tabs',
  imports: [SectionTabs],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `<nb-section-tabs [tabs]="tabs" i18n-label label="Workflows and schedules" />`,
})
export class WorkflowTabs {
  protected readonly tabs: readonly SectionTab[] = [
    { link: '/workflows', label: $localize`Workflows`, icon: 'play', exact: true },
    { link: '/workflows/schedules', label: $localize`Schedules`, icon: 'clock' },
  ];
}
