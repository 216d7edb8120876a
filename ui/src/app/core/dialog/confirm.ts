import { DIALOG_DATA, DialogRef } from '@angular/cdk/dialog';
import { ChangeDetectionStrategy, Component, computed, inject, signal } from '@angular/core';

import { Field, FieldInput } from '../form/field';
import { DialogFrame } from './dialog-frame';

/** What to ask before something is done. */
export interface Confirmation {
  heading: string;
  /** What will happen, and what will be lost. */
  text: string;
  /** The button, as a verb: "Delete tenant". */
  verb: string;
  danger?: boolean;
  /** A name that must be typed before the button works. */
  typed?: string;
}

/** Asks before something is done; opened by Dialogs.confirm. */
@Component({
  selector: 'nb-confirm',
  imports: [DialogFrame, Field, FieldInput],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <nb-dialog-frame [heading]="question.heading">
      <p>{{ question.text }}</p>
      @if (question.typed; as name) {
        <nb-field [label]="prompt">
          <input nbInput autocomplete="off" [value]="entered()" (input)="entered.set(typed.value)" #typed />
        </nb-field>
      }
      <ng-container actions>
        <button type="button" class="button" (click)="ref.close(false)" i18n>Cancel</button>
        <button
          type="button"
          class="button primary"
          [class.danger]="question.danger"
          [disabled]="!sure()"
          (click)="ref.close(true)"
        >
          {{ question.verb }}
        </button>
      </ng-container>
    </nb-dialog-frame>
  `,
})
export class ConfirmDialog {
  protected readonly ref = inject<DialogRef<boolean>>(DialogRef);
  protected readonly question = inject<Confirmation>(DIALOG_DATA);
  protected readonly prompt = $localize`Type ${this.question.typed ?? ''} to confirm`;
  protected readonly entered = signal('');
  protected readonly sure = computed(
    () => !this.question.typed || this.entered().trim() === this.question.typed,
  );
}
