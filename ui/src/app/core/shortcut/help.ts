import { DialogRef } from '@angular/cdk/dialog';
import { ChangeDetectionStrategy, Component, inject } from '@angular/core';

import { DialogFrame } from '../dialog/dialog-frame';
import { Commands } from './commands';

/** The list of keyboard shortcuts. */
@Component({
  selector: 'nb-shortcut-help',
  imports: [DialogFrame],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <nb-dialog-frame i18n-heading heading="Keyboard shortcuts">
      <dl>
        <div>
          <dt i18n>Search pages and actions</dt>
          <dd><kbd>Ctrl</kbd> <kbd>K</kbd></dd>
        </div>
        @for (command of commands.withKeys(); track command.id) {
          <div>
            <dt>{{ command.label }}</dt>
            <dd>
              @for (key of command.keys?.split(' '); track $index) {
                <kbd>{{ key }}</kbd>
              }
            </dd>
          </div>
        }
      </dl>
      <label class="check">
        <input type="checkbox" [checked]="commands.keysOn()" (change)="commands.setKeys(box.checked)" #box />
        <span i18n>Use keys without Ctrl in this browser</span>
      </label>
      <button actions type="button" class="button" (click)="ref.close()" i18n>Close</button>
    </nb-dialog-frame>
  `,
  styles: `
    dl > div {
      display: flex;
      justify-content: space-between;
      gap: var(--s4);
      padding: var(--s1) 0;
      border-bottom: 1px solid var(--line);
    }
    dd {
      display: flex;
      gap: var(--s1);
    }
  `,
})
export class ShortcutHelp {
  protected readonly ref = inject<DialogRef<void>>(DialogRef);
  protected readonly commands = inject(Commands);
}
