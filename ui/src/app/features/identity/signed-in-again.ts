import { ChangeDetectionStrategy, Component } from '@angular/core';

import { cameBack } from '@core/dialog/step-up-methods';

import { EntryFrame } from './entry-frame';

/** Where a provider comes back to after a proof in a window of its own. */
@Component({
  selector: 'nb-signed-in-again',
  imports: [EntryFrame],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <nb-entry-frame>
      <h1 i18n>Thank you, it is you</h1>
      <p class="soft" i18n>What waited for this goes on by itself. You can close this window.</p>
    </nb-entry-frame>
  `,
})
export class SignedInAgain {
  constructor() {
    cameBack();
    window.close();
  }
}
