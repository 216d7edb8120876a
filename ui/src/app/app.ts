import { ChangeDetectionStrategy, Component, inject } from '@angular/core';
import { RouterOutlet } from '@angular/router';

import { ToastOutlet } from '@core/feedback/toast-outlet';
import { Theme } from '@core/theme/theme';

/** The whole interface: the page of the route, and the corner for short messages. */
@Component({
  selector: 'nb-root',
  imports: [RouterOutlet, ToastOutlet],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `<router-outlet /><nb-toast-outlet />`,
})
export class App {
  constructor() {
    inject(Theme);
  }
}
