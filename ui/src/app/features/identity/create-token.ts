import { DialogRef } from '@angular/cdk/dialog';
import { ChangeDetectionStrategy, Component, inject, signal } from '@angular/core';
import { FormControl, FormGroup, ReactiveFormsModule, Validators } from '@angular/forms';

import { Api } from '@core/api/api';
import { DialogFrame } from '@core/dialog/dialog-frame';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Field, FieldInput } from '@core/form/field';
import { submit } from '@core/form/submit';
import { CopyBlock } from '@core/page/copy-block';

/** The answer to making a token: the only time that the token itself is told. */
interface NewToken {
  id: string;
  name: string;
  token: string;
  expires_at: string | null;
}

/** Makes an API token and shows it once. */
@Component({
  selector: 'nb-create-token',
  imports: [CopyBlock, DialogFrame, Field, FieldInput, ProblemNotice, ReactiveFormsModule],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    @if (made(); as token) {
      <nb-dialog-frame i18n-heading heading="Copy the token now">
        <p i18n>{{ token.name }} is ready. It is shown this once; Nimbus keeps only a fingerprint of it.</p>
        <nb-copy-block [text]="token.token" i18n-label label="API token" />
        <p class="small-text soft" i18n>Send it as <code>Authorization: Bearer …</code></p>
        <button actions type="button" class="button primary" (click)="ref.close()" i18n>I have copied it</button>
      </nb-dialog-frame>
    } @else {
      <form [formGroup]="form" (ngSubmit)="send()" novalidate>
        <nb-dialog-frame i18n-heading heading="New API token">
          <nb-problem [problem]="sending.problem()" />
          <nb-field
            i18n-label
            label="Name"
            i18n-hint
            hint="What will use it, so that you know it again: “backup script”."
            [error]="sending.error('name')"
          >
            <input nbInput autocomplete="off" formControlName="name" cdkFocusInitial />
          </nb-field>
          <nb-field i18n-label label="Ends by itself after" [error]="sending.error('expires_in_days')">
            <select nbInput formControlName="expires_in_days">
              <option [ngValue]="7" i18n>7 days</option>
              <option [ngValue]="30" i18n>30 days</option>
              <option [ngValue]="90" i18n>90 days</option>
              <option [ngValue]="365" i18n>One year</option>
            </select>
          </nb-field>
          <ng-container actions>
            <button type="button" class="button" (click)="ref.close()" i18n>Cancel</button>
            <button class="button primary" [disabled]="sending.busy()" i18n>Create token</button>
          </ng-container>
        </nb-dialog-frame>
      </form>
    }
  `,
})
export class CreateToken {
  private readonly api = inject(Api);
  protected readonly ref = inject<DialogRef<void>>(DialogRef);
  protected readonly made = signal<NewToken | null>(null);
  protected readonly form = new FormGroup({
    name: new FormControl('', { nonNullable: true, validators: Validators.required }),
    expires_in_days: new FormControl(90, { nonNullable: true }),
  });
  protected readonly sending = submit(this.form);

  protected async send(): Promise<void> {
    if (!this.sending.ready()) return;
    await this.sending.run(async () =>
      this.made.set(await this.api.post<NewToken>('/tokens', this.form.getRawValue())),
    );
    if (this.made()) this.ref.disableClose = true;
  }
}
