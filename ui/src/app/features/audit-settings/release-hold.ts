import { DIALOG_DATA, DialogRef } from '@angular/cdk/dialog';
import { ChangeDetectionStrategy, Component, inject } from '@angular/core';
import { FormControl, FormGroup, ReactiveFormsModule, Validators } from '@angular/forms';

import { Api } from '@core/api/api';
import { DialogFrame } from '@core/dialog/dialog-frame';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Field, FieldInput } from '@core/form/field';
import { submit } from '@core/form/submit';

import { Hold } from './hold';

/** Asks why a hold ends, and ends it; closes with true when it did. */
@Component({
  selector: 'nb-release-hold',
  imports: [DialogFrame, Field, FieldInput, ProblemNotice, ReactiveFormsModule],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <form [formGroup]="form" (ngSubmit)="send()" novalidate>
      <nb-dialog-frame [heading]="heading">
        <nb-problem [problem]="sending.problem()" />
        <p i18n>
          The retention counts again for its records. What is over its time and lies in the archive is deleted from the
          database in the next run, which cannot be undone here.
        </p>
        <nb-field i18n-label label="Reason" i18n-hint hint="It is recorded with your name." [error]="sending.error('reason')">
          <textarea nbInput rows="3" maxlength="1000" formControlName="reason" cdkFocusInitial></textarea>
        </nb-field>
        <ng-container actions>
          <button type="button" class="button" (click)="ref.close()" i18n>Keep the hold</button>
          <button class="button primary danger" [disabled]="sending.busy()">
            @if (sending.busy()) { <ng-container i18n>Releasing …</ng-container> } @else { <ng-container i18n>Release</ng-container> }
          </button>
        </ng-container>
      </nb-dialog-frame>
    </form>
  `,
})
export class ReleaseHold {
  private readonly api = inject(Api);
  private readonly hold = inject<Hold>(DIALOG_DATA);
  protected readonly ref = inject<DialogRef<boolean>>(DialogRef);
  protected readonly heading = $localize`Release “${this.hold.name}”?`;
  protected readonly form = new FormGroup({
    reason: new FormControl('', { nonNullable: true, validators: Validators.required }),
  });
  protected readonly sending = submit(this.form);

  protected async send(): Promise<void> {
    if (!this.sending.ready()) return;
    const query = { reason: this.form.getRawValue().reason.trim() };
    if (await this.sending.run(() => this.api.delete(`/audit/holds/${this.hold.id}`, { query }))) this.ref.close(true);
  }
}
