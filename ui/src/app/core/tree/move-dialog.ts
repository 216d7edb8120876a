import { DIALOG_DATA, DialogRef } from '@angular/cdk/dialog';
import { ChangeDetectionStrategy, Component, computed, inject, signal } from '@angular/core';

import { DialogFrame } from '../dialog/dialog-frame';
import { action } from '../feedback/action';
import { ProblemNotice } from '../feedback/problem-notice';
import { Field, FieldInput } from '../form/field';
import { TreeItem, TreeRow, treeMatches, treeRows } from './tree';

/** What is moved, where it can go and how. */
export interface Move {
  heading: string;
  /** What moving means. */
  lead: string;
  targets: readonly TreeRow<TreeItem>[];
  /** How the place above everything is called, when the item can go there. */
  top?: string;
  send: (parentId: string | null) => Promise<unknown>;
}

/** Chooses a new place in a tree and moves there; closes with true when it was done. */
@Component({
  selector: 'nb-move-dialog',
  imports: [DialogFrame, Field, FieldInput, ProblemNotice],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <form (submit)="$event.preventDefault(); send()" novalidate>
      <nb-dialog-frame [heading]="move.heading">
        <p class="soft">{{ move.lead }}</p>
        <nb-problem [problem]="sending.problem()" />
        @if (move.targets.length > 8) {
          <nb-field i18n-label label="Find">
            <input nbInput type="search" autocomplete="off" [value]="query()" (input)="query.set(find.value)" #find />
          </nb-field>
        }
        <fieldset>
          <legend class="visually-hidden" i18n>New place</legend>
          @if (move.top; as top) {
            <label class="check">
              <input type="radio" name="place" [checked]="place() === null" (change)="place.set(null)" />
              <span>{{ top }}</span>
            </label>
          }
          @for (row of rows(); track row.item.id) {
            <label class="check" [style.padding-inline-start.rem]="row.depth * 1.25">
              <input
                type="radio"
                name="place"
                [checked]="place() === row.item.id"
                (change)="place.set(row.item.id)"
              />
              <span>{{ row.item.name }}</span>
            </label>
          } @empty {
            @if (!move.top || query()) {
              <p class="soft" i18n>There is no other place for it.</p>
            }
          }
        </fieldset>
        <ng-container actions>
          <button type="button" class="button" (click)="ref.close(false)" i18n>Cancel</button>
          <button class="button primary" [disabled]="place() === undefined || sending.busy()" i18n>Move here</button>
        </ng-container>
      </nb-dialog-frame>
    </form>
  `,
  styles: `
    fieldset {
      display: grid;
      gap: var(--s1);
      max-height: 20rem;
      margin: 0;
      padding: var(--s2) var(--s3);
      overflow: auto;
      border: 1px solid var(--line);
      border-radius: var(--radius-s);
    }
    label {
      min-height: 1.75rem;
      cursor: pointer;
    }
  `,
})
export class MoveDialog {
  protected readonly ref = inject<DialogRef<boolean>>(DialogRef);
  protected readonly move = inject<Move>(DIALOG_DATA);
  protected readonly query = signal('');
  protected readonly place = signal<string | null | undefined>(undefined);
  protected readonly sending = action();

  protected readonly rows = computed(() => {
    const query = this.query().trim().toLowerCase();
    if (!query) return this.move.targets;
    const items = this.move.targets.map((row) => row.item);
    return treeRows(treeMatches(items, (item) => item.name.toLowerCase().includes(query)));
  });

  protected async send(): Promise<void> {
    const place = this.place();
    if (place === undefined) return;
    if (await this.sending.run(() => this.move.send(place))) this.ref.close(true);
  }
}
