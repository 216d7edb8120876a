import { ChangeDetectionStrategy, Component, computed, input } from '@angular/core';

import { Badge } from '../page/badge';
import { DeploymentStatus, deploymentState } from './deployment';

/** A deployment's status as a badge. */
@Component({
  selector: 'nb-deployment-badge',
  imports: [Badge],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `<nb-badge [tone]="state().tone" [bare]="bare()">{{ state().word }}</nb-badge>`,
})
export class DeploymentBadge {
  readonly status = input.required<DeploymentStatus>();
  readonly bare = input(false);
  protected readonly state = computed(() => deploymentState(this.status()));
}
