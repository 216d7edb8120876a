import { DIALOG_DATA, DialogRef } from '@angular/cdk/dialog';
import { ChangeDetectionStrategy, Component, inject } from '@angular/core';

import { DialogFrame } from '@core/dialog/dialog-frame';
import { BytesPipe } from '@core/format/bytes';
import { Badge } from '@core/page/badge';
import { CopyId } from '@core/page/copy-id';
import { duration } from '@core/time/format';
import { Time } from '@core/time/time';

import { Backup, kindWord, stateTone, stateWord } from './backup';

/** All that is known of one backup. */
@Component({
  selector: 'nb-backup-details',
  imports: [Badge, BytesPipe, CopyId, DialogFrame, Time],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <nb-dialog-frame i18n-heading heading="Backup">
      <dl class="facts">
        <div><dt i18n>State</dt><dd><nb-badge [tone]="tone(it.state)">{{ word(it.state) }}</nb-badge></dd></div>
        @if (it.error) {
          <div><dt i18n>What failed</dt><dd>{{ it.error }}</dd></div>
        }
        <div><dt i18n>Made</dt><dd>{{ kind(it.kind) }}@if (it.by) {, {{ it.by }}}</dd></div>
        <div><dt i18n>Begun</dt><dd><nb-time [at]="it.started_at" /></dd></div>
        <div><dt i18n>Finished</dt><dd><nb-time [at]="it.finished_at" />@if (took) {&ngsp;<span class="soft">({{ took }})</span> }</dd></div>
        <div><dt i18n>Size, encrypted</dt><dd>{{ it.bytes | bytes }}</dd></div>
        <div><dt i18n>Where</dt><dd class="mono">{{ it.target }}</dd></div>
        @if (it.includes?.length) {
          <div><dt i18n>What is in it</dt><dd>{{ it.includes?.join(', ') }}</dd></div>
        }
        @if (it.wal_from) {
          <div><dt i18n>Log of the database</dt><dd class="mono">{{ it.wal_from }} – {{ it.wal_to || '…' }}</dd></div>
        }
        <div>
          <dt i18n>Restored to prove it</dt>
          <dd>
            <nb-time [at]="it.verified_at" i18n-none none="not yet" />
            @if (it.verify_error) { <p class="error">{{ it.verify_error }}</p> }
          </dd>
        </div>
        <div><dt i18n>Identifier</dt><dd><nb-id [value]="it.id" [full]="true" /></dd></div>
      </dl>
      <button actions type="button" class="button" (click)="ref.close()" i18n>Close</button>
    </nb-dialog-frame>
  `,
  styles: `
    .error {
      color: var(--bad);
    }
  `,
})
export class BackupDetails {
  protected readonly ref = inject<DialogRef<void>>(DialogRef);
  protected readonly it = inject<Backup>(DIALOG_DATA);
  protected readonly kind = kindWord;
  protected readonly word = stateWord;
  protected readonly tone = stateTone;
  protected readonly took = this.it.finished_at
    ? duration((Date.parse(this.it.finished_at) - Date.parse(this.it.started_at)) / 1000)
    : '';
}
