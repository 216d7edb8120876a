import { Clipboard } from '@angular/cdk/clipboard';
import { ChangeDetectionStrategy, Component, inject, input, signal } from '@angular/core';

import { Icon } from '../icon/icon';

/** Text to be pasted elsewhere, exactly as it stands, with a copy button. A single line wraps to be seen whole. */
@Component({
  selector: 'nb-copy-block',
  imports: [Icon],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <pre class="code" [class.line]="!text().includes('\n')" tabindex="0" role="region" [attr.aria-label]="label()">{{ text() }}</pre>
    <button type="button" class="button small" (click)="copy()">
      <nb-icon [name]="copied() ? 'check' : 'copy'" [size]="14" />
      <span aria-live="polite">
        @if (copied()) {
          <ng-container i18n>Copied</ng-container>
        } @else {
          <ng-container i18n>Copy</ng-container>
        }
      </span>
    </button>
  `,
  styles: `
    :host {
      display: grid;
      position: relative;
      min-width: 0;
    }
    button {
      position: absolute;
      top: var(--s2);
      right: var(--s2);
    }
    pre {
      padding-right: 6rem;
    }
    pre.line {
      min-height: 2.875rem;
      white-space: pre-wrap;
      overflow-wrap: anywhere;
    }
  `,
})
export class CopyBlock {
  private readonly clipboard = inject(Clipboard);

  readonly text = input.required<string>();
  readonly label = input.required<string>();
  protected readonly copied = signal(false);

  protected copy(): void {
    this.copied.set(this.clipboard.copy(this.text()));
    setTimeout(() => this.copied.set(false), 2000);
  }
}
