import { ChangeDetectionStrategy, Component, computed, input, output } from '@angular/core';

import { Icon } from '../icon/icon';
import { TreeItem, TreeRow } from './tree';

/** The first cell of a line in a tree: the indent, the button that opens it, the name (projected). */
@Component({
  selector: 'nb-tree-cell',
  imports: [Icon],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    @if (row().hasChildren) {
      <button type="button" [attr.aria-expanded]="row().open" [attr.aria-label]="label()" (click)="flip.emit()">
        <nb-icon name="chevron" [size]="14" />
      </button>
    } @else {
      <i></i>
    }
    <div>
      <span class="visually-hidden" i18n>Level {{ row().depth + 1 }}:</span>
      <ng-content />
    </div>
  `,
  host: { '[style.padding-inline-start.rem]': 'row().depth * 1.375' },
  styles: `
    :host {
      display: flex;
      align-items: flex-start;
      gap: var(--s1);
    }
    button,
    i {
      flex: none;
      width: 1.5rem;
      height: 1.5rem;
      margin-left: -0.25rem;
    }
    button {
      display: grid;
      place-items: center;
      padding: 0;
      border: 0;
      border-radius: var(--radius-s);
      background: none;
      color: var(--ink-soft);
      cursor: pointer;
    }
    button:hover {
      background: var(--surface-sunken);
      color: var(--ink);
    }
    button nb-icon {
      transition: rotate var(--quick);
    }
    button[aria-expanded='true'] nb-icon {
      rotate: 90deg;
    }
    div {
      min-width: 0;
      align-self: baseline;
      padding-top: 0.1rem;
    }
  `,
})
export class TreeCell {
  readonly row = input.required<TreeRow<TreeItem>>();
  /** Opens or closes what lies below. */
  readonly flip = output();
  protected readonly label = computed(() => $localize`What lies under ${this.row().item.name}`);
}
