import { DIALOG_DATA, DialogRef } from '@angular/cdk/dialog';
import { ChangeDetectionStrategy, Component, inject } from '@angular/core';
import { FormControl, FormGroup, ReactiveFormsModule, Validators } from '@angular/forms';

import { Api } from '@core/api/api';
import { DialogFrame } from '@core/dialog/dialog-frame';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Field, FieldInput } from '@core/form/field';
import { submit } from '@core/form/submit';

import { Anomaly, Decision } from './anomaly';

/** What is to be decided about which finding. */
export interface DecideData {
  finding: Anomaly;
  decision: Decision;
}

/** Asks for the reason of a decision about a finding, and sends it; closes with true when it was taken. */
@Component({
  selector: 'nb-decide',
  imports: [DialogFrame, Field, FieldInput, ProblemNotice, ReactiveFormsModule],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <form [formGroup]="form" (ngSubmit)="send()" novalidate>
      <nb-dialog-frame [heading]="words.heading">
        <nb-problem [problem]="sending.problem()" />
        <p>{{ words.text }}</p>
        <nb-field i18n-label label="Note" i18n-hint hint="It is recorded with your name." [error]="sending.error('note')">
          <textarea nbInput rows="3" maxlength="1000" formControlName="note" cdkFocusInitial></textarea>
        </nb-field>
        <ng-container actions>
          <button type="button" class="button" (click)="ref.close()" i18n>Cancel</button>
          <button class="button primary" [disabled]="sending.busy()">{{ words.verb }}</button>
        </ng-container>
      </nb-dialog-frame>
    </form>
  `,
})
export class Decide {
  private readonly api = inject(Api);
  private readonly data = inject<DecideData>(DIALOG_DATA);
  protected readonly ref = inject<DialogRef<boolean>>(DialogRef);
  protected readonly words = wordsOf(this.data.decision);
  protected readonly form = new FormGroup({
    note: new FormControl('', { nonNullable: true, validators: Validators.required }),
  });
  protected readonly sending = submit(this.form);

  protected async send(): Promise<void> {
    if (!this.sending.ready()) return;
    const path = `/audit/anomalies/${this.data.finding.id}/${this.data.decision}`;
    const note = this.form.getRawValue().note.trim();
    if (await this.sending.run(() => this.api.post(path, { note }))) this.ref.close(true);
  }
}

function wordsOf(decision: Decision): { heading: string; text: string; verb: string } {
  switch (decision) {
    case 'acknowledge':
      return {
        heading: $localize`Acknowledge the finding`,
        text: $localize`It was real, and somebody has looked at it. If the same happens again, there is a new finding.`,
        verb: $localize`Acknowledge`,
      };
    case 'false-positive':
      return {
        heading: $localize`Call it a false positive`,
        text: $localize`It was nothing. The same pattern makes no finding any more until this one is opened again; what comes is only counted.`,
        verb: $localize`It was nothing`,
      };
    case 'reopen':
      return {
        heading: $localize`Open the finding again`,
        text: $localize`It counts as undecided, and the same pattern is noticed again.`,
        verb: $localize`Open again`,
      };
  }
}
