import { DIALOG_DATA, DialogRef } from '@angular/cdk/dialog';
import { ChangeDetectionStrategy, Component, inject } from '@angular/core';

import { CopyBlock } from '../page/copy-block';
import { Time } from '../time/time';
import { DialogFrame } from './dialog-frame';

/** A secret that the server tells only this once. Open it with `disableClose`. */
export interface ShownOnce {
  heading: string;
  /** What it is for and how to pass it on. */
  text: string;
  secret: string;
  /** What the secret is, for screen readers: "Invitation link". */
  label: string;
  expires_at?: string | null;
}

/** Shows a secret to be copied now. */
@Component({
  selector: 'nb-shown-once',
  imports: [CopyBlock, DialogFrame, Time],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <nb-dialog-frame [heading]="it.heading">
      <p>{{ it.text }}</p>
      <nb-copy-block [text]="it.secret" [label]="it.label" />
      <p class="small-text soft">
        <ng-container i18n>It is shown this once; Nimbus keeps only a fingerprint of it.</ng-container>
        @if (it.expires_at; as at) {
          &ngsp;<ng-container i18n>It ends <nb-time [at]="at" [relative]="true" />.</ng-container>
        }
      </p>
      <button actions type="button" class="button primary" (click)="ref.close()" i18n>I have copied it</button>
    </nb-dialog-frame>
  `,
})
export class ShownOnceDialog {
  protected readonly ref = inject<DialogRef<void>>(DialogRef);
  protected readonly it = inject<ShownOnce>(DIALOG_DATA);
}
