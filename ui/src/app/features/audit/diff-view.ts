import { ChangeDetectionStrategy, Component, computed, input, signal } from '@angular/core';

import { diffDocuments, fold, inline } from './diff';

/** What changed between two documents: beside each other or in one column; unchanged lines are folded. */
@Component({
  selector: 'nb-diff-view',
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <div class="row tools" role="group" i18n-aria-label aria-label="How changes are shown">
      <button type="button" class="button small" [attr.aria-pressed]="beside()" (click)="beside.set(true)" i18n>Side by side</button>
      <button type="button" class="button small" [attr.aria-pressed]="!beside()" (click)="beside.set(false)" i18n>Inline</button>
    </div>
    <div class="scroll" tabindex="0" role="region" i18n-aria-label aria-label="Lines before and after">
      <table class="lines" [class.beside]="beside()">
        @if (beside()) {
          <colgroup><col class="narrow" /><col /><col class="narrow" /><col /></colgroup>
        }
        <thead class="visually-hidden">
          <tr>
            @if (beside()) {
              <th scope="col" i18n>Line before</th><th scope="col" i18n>Before</th>
              <th scope="col" i18n>Line after</th><th scope="col" i18n>After</th>
            } @else {
              <th scope="col" i18n>Change</th><th scope="col" i18n>Text</th>
            }
          </tr>
        </thead>
        <tbody>
          @for (part of parts(); track $index) {
            @if (part.folded && !unfolded().has($index)) {
              <tr class="fold">
                <td [attr.colspan]="beside() ? 4 : 2">
                  <button type="button" (click)="unfold($index)" i18n>Show {{ part.lines.length }} unchanged lines</button>
                </td>
              </tr>
            } @else if (beside()) {
              @for (line of part.lines; track $index) {
                <tr>
                  <td class="number">{{ line.before?.number }}</td>
                  <td [class.old]="line.kind !== 'same' && line.before">{{ line.before?.text }}</td>
                  <td class="number">{{ line.after?.number }}</td>
                  <td [class.new]="line.kind !== 'same' && line.after">{{ line.after?.text }}</td>
                </tr>
              }
            } @else {
              @for (line of inlined(part.lines); track $index) {
                <tr>
                  <td class="number">{{ line.sign }}</td>
                  <td [class.old]="line.sign === '-'" [class.new]="line.sign === '+'">{{ line.text }}</td>
                </tr>
              }
            }
          }
        </tbody>
      </table>
    </div>
  `,
  styles: `
    .tools {
      padding: var(--s2) var(--s4);
    }
    button[aria-pressed='true'] {
      border-color: var(--accent);
      background: var(--accent-wash);
      color: var(--accent-strong);
    }
    .lines {
      width: 100%;
      border-collapse: collapse;
      font-family: var(--mono);
      font-size: var(--text-s);
    }
    .beside {
      table-layout: fixed;
      min-width: 34rem;
    }
    .narrow {
      width: 3rem;
    }
    td {
      padding: 1px var(--s3);
      white-space: pre-wrap;
      overflow-wrap: anywhere;
      vertical-align: top;
    }
    .number {
      width: 3rem;
      color: var(--ink-faint);
      text-align: right;
      user-select: none;
    }
    .old {
      background: var(--bad-wash);
      color: var(--bad);
    }
    .new {
      background: var(--good-wash);
      color: var(--good);
    }
    .fold td {
      padding: var(--s1) var(--s3);
      background: var(--surface-sunken);
    }
    .fold button {
      border: 0;
      background: none;
      color: var(--ink-soft);
      font-family: var(--font);
      cursor: pointer;
    }
  `,
})
export class DiffView {
  readonly before = input.required<unknown>();
  readonly after = input.required<unknown>();

  protected readonly beside = signal(!matchMedia('(max-width: 720px)').matches);
  protected readonly unfolded = signal<ReadonlySet<number>>(new Set());
  protected readonly parts = computed(() => fold(diffDocuments(this.before(), this.after())));
  protected readonly inlined = inline;

  protected unfold(part: number): void {
    this.unfolded.update((old) => new Set(old).add(part));
  }
}
