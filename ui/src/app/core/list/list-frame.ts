import { ChangeDetectionStrategy, Component, Signal, input } from '@angular/core';

import { Problem } from '../api/problem';
import { ProblemNotice } from '../feedback/problem-notice';

/** What the frame needs of a KeysetList. */
export interface ListState {
  readonly items: Signal<readonly unknown[]>;
  readonly loading: Signal<boolean>;
  readonly loadingMore: Signal<boolean>;
  readonly problem: Signal<Problem | null>;
  readonly hasMore: Signal<boolean>;
  readonly empty: Signal<boolean>;
  reload(): Promise<void>;
  more(): Promise<void>;
}

/**
 * The card around a list with its four states: loading (grey bars), failed (the
 * problem and a retry), empty (projected with the attribute `whenEmpty`), and
 * the table (projected), with a button for the next page.
 */
@Component({
  selector: 'nb-list-frame',
  imports: [ProblemNotice],
  changeDetection: ChangeDetectionStrategy.OnPush,
  host: { class: 'card', '[attr.aria-busy]': 'list().loading()' },
  template: `
    <ng-content select="[above]" />
    @if (list().problem(); as problem) {
      <div class="body">
        <nb-problem [problem]="problem" [retryable]="true" (retry)="list().reload()" />
      </div>
    }
    @if (list().items().length > 0) {
      <div class="scroll" tabindex="0" role="region" [attr.aria-label]="label()"><ng-content /></div>
    } @else if (list().empty()) {
      <ng-content select="[whenEmpty]" />
    } @else if (list().loading()) {
      <div class="body bars" role="status">
        <span class="visually-hidden" i18n>Loading</span>
        @for (bar of bars; track bar) {
          <i></i>
        }
      </div>
    }
    @if (paging() && list().hasMore()) {
      <footer>
        <button class="button small" [disabled]="list().loadingMore()" (click)="list().more()">
          @if (list().loadingMore()) {
            <ng-container i18n>Loading …</ng-container>
          } @else {
            <ng-container i18n>Show more</ng-container>
          }
        </button>
      </footer>
    }
  `,
  styles: `
    :host {
      display: block;
      overflow: hidden;
    }
    .bars {
      display: grid;
      gap: var(--s4);
      padding-block: var(--s5);
    }
    i {
      height: 0.75rem;
      border-radius: 4px;
      background: var(--surface-sunken);
      animation: breathe 1.4s ease-in-out infinite;
    }
    i:nth-child(odd) {
      width: 82%;
    }
    i:nth-child(3n) {
      width: 64%;
    }
    @keyframes breathe {
      50% {
        opacity: 0.45;
      }
    }
    footer {
      display: flex;
      justify-content: center;
      padding: var(--s3);
      border-top: 1px solid var(--line);
    }
  `,
})
export class ListFrame {
  readonly list = input.required<ListState>();
  /** Names the scrolling table for screen readers. */
  readonly label = input.required<string>();
  /** Offers the next page. */
  readonly paging = input(true);
  protected readonly bars = [1, 2, 3, 4, 5];
}
