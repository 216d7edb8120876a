import { DialogRef } from '@angular/cdk/dialog';
import { ChangeDetectionStrategy, Component, ElementRef, afterNextRender, inject, input } from '@angular/core';

import { Icon } from '../icon/icon';

let created = 0;

/** Title, close button, content (projected) and the row of buttons (attribute `actions`). */
@Component({
  selector: 'nb-dialog-frame',
  imports: [Icon],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <header>
      <h2 [id]="id">{{ heading() }}</h2>
      <button
        type="button"
        class="button quiet icon-only small"
        i18n-aria-label
        aria-label="Close"
        (click)="ref.close()"
      >
        <nb-icon name="close" />
      </button>
    </header>
    <div class="content"><ng-content /></div>
    <footer><ng-content select="[actions]" /></footer>
  `,
  styles: `
    header {
      display: flex;
      align-items: center;
      justify-content: space-between;
      gap: var(--s4);
      padding: var(--s4) var(--s4) var(--s2) var(--s5);
    }
    .content {
      display: grid;
      gap: var(--s4);
      padding: var(--s2) var(--s5) var(--s4);
    }
    footer {
      display: flex;
      flex-wrap: wrap;
      justify-content: flex-end;
      gap: var(--s2);
      padding: 0 var(--s5) var(--s5);
    }
    footer:empty {
      display: none;
    }
  `,
})
export class DialogFrame {
  protected readonly ref = inject<DialogRef<unknown>>(DialogRef);
  protected readonly id = `nb-dialog-title-${++created}`;

  readonly heading = input.required<string>();

  constructor() {
    const host = inject<ElementRef<HTMLElement>>(ElementRef).nativeElement;
    afterNextRender(() => host.closest('[role]')?.setAttribute('aria-labelledby', this.id));
  }
}
