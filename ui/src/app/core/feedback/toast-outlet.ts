import { ChangeDetectionStrategy, Component, inject } from '@angular/core';

import { Dialogs } from '../dialog/dialogs';
import { Icon } from '../icon/icon';
import { Toasts } from './toasts';

/** The corner where toasts appear; announced by screen readers. */
@Component({
  selector: 'nb-toast-outlet',
  imports: [Icon],
  changeDetection: ChangeDetectionStrategy.OnPush,
  host: { role: 'status', 'aria-live': 'polite' },
  template: `
    @for (toast of toasts.shown(); track toast.id) {
      <div class="toast" [class]="'tone-' + toast.tone">
        <nb-icon [name]="toast.tone === 'good' ? 'success' : 'error'" />
        <p>{{ toast.text }}</p>
        @if (toast.refused; as permission) {
          <button type="button" class="button small" (click)="dialogs.why(permission)" i18n>Why?</button>
        }
        <button
          type="button"
          class="button quiet small icon-only"
          i18n-aria-label
          aria-label="Close this message"
          (click)="toasts.close(toast.id)"
        >
          <nb-icon name="close" [size]="16" />
        </button>
      </div>
    }
  `,
  styles: `
    :host {
      position: fixed;
      z-index: 1100;
      right: var(--s4);
      bottom: var(--s4);
      display: grid;
      gap: var(--s2);
      width: min(26rem, calc(100vw - 2rem));
    }
    .toast {
      display: flex;
      gap: var(--s3);
      align-items: flex-start;
      padding: var(--s3);
      border: 1px solid var(--line);
      border-left: 3px solid var(--tone);
      border-radius: var(--radius);
      background: var(--surface-raised);
      box-shadow: var(--shadow-l);
    }
    .toast > nb-icon {
      color: var(--tone);
      margin-top: 1px;
    }
    p {
      flex: 1;
      overflow-wrap: anywhere;
    }
  `,
})
export class ToastOutlet {
  protected readonly dialogs = inject(Dialogs);
  protected readonly toasts = inject(Toasts);
}
