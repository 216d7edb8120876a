import { DIALOG_DATA, DialogRef } from '@angular/cdk/dialog';
import { ChangeDetectionStrategy, Component, inject } from '@angular/core';
import { FormControl, FormGroup, ReactiveFormsModule, Validators } from '@angular/forms';

import { Api } from '@core/api/api';
import { DialogFrame } from '@core/dialog/dialog-frame';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Field, FieldInput } from '@core/form/field';
import { submit } from '@core/form/submit';

import { Sink } from './sink';

/** Asks from which record on a sink gets everything once more; closes with true when it begins. */
@Component({
  selector: 'nb-replay-dialog',
  imports: [DialogFrame, Field, FieldInput, ProblemNotice, ReactiveFormsModule],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <form [formGroup]="form" (ngSubmit)="send()" novalidate>
      <nb-dialog-frame i18n-heading heading="Send older records once more">
        <nb-problem [problem]="sending.problem()" />
        <p i18n>
          {{ sink.name }} gets everything from this record on again, as far as it fits the filter. The collector sees records
          twice that it has already; each carries its number, so that it can leave them out.
        </p>
        <nb-field i18n-label label="From record" [hint]="hint" [error]="sending.error('from_sequence')">
          <input nbInput type="number" min="1" step="1" formControlName="from_sequence" cdkFocusInitial />
        </nb-field>
        <ng-container actions>
          <button type="button" class="button" (click)="ref.close()" i18n>Cancel</button>
          <button class="button primary" [disabled]="sending.busy()" i18n>Send them</button>
        </ng-container>
      </nb-dialog-frame>
    </form>
  `,
})
export class ReplayDialog {
  private readonly api = inject(Api);
  protected readonly ref = inject<DialogRef<boolean>>(DialogRef);
  protected readonly sink = inject<Sink>(DIALOG_DATA);
  protected readonly hint = $localize`It got everything up to record ${this.sink.cursor}.`;
  protected readonly form = new FormGroup({
    from_sequence: new FormControl(1, { nonNullable: true, validators: [Validators.required, Validators.min(1), Validators.pattern(/^\d+$/)] }),
  });
  protected readonly sending = submit(this.form);

  protected async send(): Promise<void> {
    if (!this.sending.ready()) return;
    const path = `/audit/sinks/${this.sink.id}/replay`;
    if (await this.sending.run(() => this.api.post(path, this.form.getRawValue()))) this.ref.close(true);
  }
}
