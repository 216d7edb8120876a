import { ChangeDetectionStrategy, Component } from '@angular/core';

import { Brand } from '../../shell/brand';

/** The frame of the pages in front of the interface: sign-in, invitation, reset, second factor. */
@Component({
  selector: 'nb-entry-frame',
  imports: [Brand],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <main>
      <nb-brand />
      <div class="card"><ng-content /></div>
      <p class="small-text soft" i18n>
        You are at {{ host }}. Check that this is the address you know before you enter your password.
      </p>
    </main>
    <div class="weather" aria-hidden="true"></div>
  `,
  styleUrl: './entry-frame.scss',
})
export class EntryFrame {
  protected readonly host = location.host;
}
