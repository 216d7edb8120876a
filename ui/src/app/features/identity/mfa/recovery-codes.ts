import { DIALOG_DATA, DialogRef } from '@angular/cdk/dialog';
import { ChangeDetectionStrategy, Component, inject, signal } from '@angular/core';

import { DialogFrame } from '@core/dialog/dialog-frame';
import { saveFile } from '@core/file/save-file';
import { Icon } from '@core/icon/icon';
import { CopyBlock } from '@core/page/copy-block';
import { Session } from '@core/session/session';

import { recoveryFile } from './factors';

/** Shows recovery codes the one time that they are told. Open it with `disableClose`. */
@Component({
  selector: 'nb-recovery-codes',
  imports: [CopyBlock, DialogFrame, Icon],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <nb-dialog-frame i18n-heading heading="Keep these recovery codes">
      <p i18n>
        Each of them works once in place of your second factor, for the day when it is lost. They are shown this once; earlier codes do not work any more.
      </p>
      <nb-copy-block [text]="codes.join('\n')" i18n-label label="Recovery codes" />
      <div>
        <button type="button" class="button" (click)="save()">
          <nb-icon name="download" [size]="16" /><ng-container i18n>Download as a file</ng-container>
        </button>
      </div>
      <label class="check">
        <input type="checkbox" [checked]="kept()" (change)="kept.set(box.checked)" #box />
        <span i18n>I have kept them in a safe place, not on this device alone</span>
      </label>
      <button actions type="button" class="button primary" [disabled]="!kept()" (click)="ref.close()" i18n>Done</button>
    </nb-dialog-frame>
  `,
})
export class RecoveryCodes {
  private readonly session = inject(Session);
  protected readonly ref = inject<DialogRef<void>>(DialogRef);
  protected readonly codes = inject<string[]>(DIALOG_DATA);
  protected readonly kept = signal(false);

  protected save(): void {
    const account = this.session.user()?.email ?? '';
    const text = recoveryFile(this.codes, account, location.host, new Date());
    saveFile('nimbus-recovery-codes.txt', text, 'text/plain');
    this.kept.set(true);
  }
}
