import { DIALOG_DATA, DialogRef } from '@angular/cdk/dialog';
import { ChangeDetectionStrategy, Component, inject } from '@angular/core';

import { DialogFrame } from '@core/dialog/dialog-frame';
import { saveFile } from '@core/file/save-file';
import { Icon } from '@core/icon/icon';
import { Badge } from '@core/page/badge';
import { CopyBlock } from '@core/page/copy-block';
import { Time } from '@core/time/time';

import { Checkpoint, keyPlace } from './proof';

/** One checkpoint: the signed note to keep, and where it was published. */
@Component({
  selector: 'nb-checkpoint-dialog',
  imports: [Badge, CopyBlock, DialogFrame, Icon, Time],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <nb-dialog-frame [heading]="heading">
      <dl class="facts">
        <div><dt i18n>Made</dt><dd><nb-time [at]="it.created_at" /></dd></div>
        <div><dt i18n>Signed by</dt><dd>{{ it.key_name }}, {{ it.algorithm }}, {{ keyPlace(it.key_kind) }}</dd></div>
        <div><dt i18n>Root</dt><dd class="mono">{{ it.root }}</dd></div>
      </dl>
      <nb-copy-block [text]="it.note" i18n-label label="Signed note" />
      <div class="published">
        <h3 i18n>Published</h3>
        <ul>
          @for (one of it.published ?? []; track $index) {
            <li>
              @if (one.at) {
                <nb-badge tone="good" [bare]="true">{{ one.place }}</nb-badge>
                <nb-time [at]="one.at" />
              } @else if (one.error) {
                <nb-badge tone="bad" [bare]="true">{{ one.place }}</nb-badge>
                <span>{{ one.error }} <span class="soft" i18n>It is tried again.</span></span>
              } @else {
                <nb-badge tone="busy" [bare]="true">{{ one.place }}</nb-badge>
                <span class="soft" i18n>on its way</span>
              }
            </li>
          } @empty {
            <li class="soft" i18n>Nowhere: no place was set up when it was made.</li>
          }
        </ul>
      </div>
      <ng-container actions>
        <button type="button" class="button" (click)="save()">
          <nb-icon name="download" [size]="16" /><ng-container i18n>Save as a file</ng-container>
        </button>
        <button type="button" class="button primary" (click)="ref.close()" i18n>Close</button>
      </ng-container>
    </nb-dialog-frame>
  `,
  styles: `
    .published,
    ul {
      display: grid;
      gap: var(--s2);
    }
    li {
      display: flex;
      flex-wrap: wrap;
      gap: var(--s1) var(--s3);
      overflow-wrap: anywhere;
    }
  `,
})
export class CheckpointDialog {
  protected readonly ref = inject<DialogRef<void>>(DialogRef);
  protected readonly it = inject<Checkpoint>(DIALOG_DATA);
  protected readonly heading = $localize`Checkpoint of records 1 to ${this.it.size}`;
  protected readonly keyPlace = keyPlace;

  protected save(): void {
    saveFile(`checkpoint-${this.it.size}.txt`, this.it.note, 'text/plain');
  }
}
