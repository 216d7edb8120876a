import { ChangeDetectionStrategy, Component, input } from '@angular/core';
import { RouterLink } from '@angular/router';

import { Badge } from '@core/page/badge';
import { Time } from '@core/time/time';

import { DiffView } from './diff-view';
import { AuditRecord, isUrgent, outcomeTone, targetName, whoActed } from './record';

/** Records one below the other along a line, optionally with what they changed. */
@Component({
  selector: 'nb-record-list',
  imports: [Badge, DiffView, RouterLink, Time],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <ol>
      @for (record of records(); track record.sequence) {
        <li [class]="'priority-' + record.priority">
          <p class="row">
            <a [routerLink]="['/audit', record.sequence]" class="mono">{{ record.event }}</a>
            <nb-badge [tone]="tone(record.outcome)" [bare]="true">{{ record.outcome }}</nb-badge>
            @if (urgent(record.priority)) { <span class="small-text soft">{{ record.priority }}</span> }
          </p>
          <p class="small-text soft">
            <nb-time [at]="record.time" /> · {{ who(record) }}
            @if (record.target; as target) { · {{ target.kind }} {{ called(record) }} }
            @if (record.address) { · <span class="mono">{{ record.address }}</span> }
          </p>
          @if (record.reason) { <p class="small-text">{{ record.reason }}</p> }
          @if (withChanges() && record.changes; as changes) {
            <details>
              <summary i18n>What changed</summary>
              <nb-diff-view [before]="changes.before" [after]="changes.after" />
            </details>
          }
        </li>
      }
    </ol>
  `,
  styles: `
    ol {
      padding: var(--s4) var(--s4) var(--s4) var(--s5);
    }
    li {
      position: relative;
      padding: 0 0 var(--s4) var(--s4);
      border-left: 2px solid var(--line);
    }
    li::before {
      content: '';
      position: absolute;
      left: -6px;
      top: 0.4rem;
      width: 10px;
      height: 10px;
      border-radius: 50%;
      background: var(--accent);
    }
    li.priority-warning::before {
      background: var(--warn);
    }
    li.priority-error::before,
    li.priority-critical::before {
      background: var(--bad);
    }
    a {
      font-weight: 500;
      overflow-wrap: anywhere;
    }
    summary {
      padding: var(--s1) 0;
      font-size: var(--text-s);
      cursor: pointer;
    }
    nb-diff-view {
      display: block;
      border: 1px solid var(--line);
      border-radius: var(--radius-s);
    }
  `,
})
export class RecordList {
  readonly records = input.required<readonly AuditRecord[]>();
  readonly withChanges = input(false);
  protected readonly tone = outcomeTone;
  protected readonly urgent = isUrgent;
  protected readonly called = targetName;
  protected readonly who = whoActed;
}
