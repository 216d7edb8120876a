import { DialogRef } from '@angular/cdk/dialog';
import { ChangeDetectionStrategy, Component, inject, signal } from '@angular/core';
import { FormControl, FormGroup, ReactiveFormsModule, Validators } from '@angular/forms';

import { Api } from '@core/api/api';
import { DialogFrame } from '@core/dialog/dialog-frame';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Field, FieldInput } from '@core/form/field';
import { submit } from '@core/form/submit';
import { CopyBlock } from '@core/page/copy-block';

/** The answer to making a token: the only time that it is told. */
interface NewScimToken {
  name: string;
  token: string;
  /** The base URL that the directory asks for. */
  url?: string;
}

/** Makes a token for a directory and shows it once, with the base URL. */
@Component({
  selector: 'nb-create-scim-token',
  imports: [CopyBlock, DialogFrame, Field, FieldInput, ProblemNotice, ReactiveFormsModule],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    @if (made(); as token) {
      <nb-dialog-frame i18n-heading heading="Copy the token now">
        <p i18n>{{ token.name }} is ready. It is shown this once; Nimbus keeps only a fingerprint of it.</p>
        <div class="one">
          <h3 i18n>Base URL</h3>
          <nb-copy-block [text]="token.url || base" i18n-label label="Base URL" />
        </div>
        <div class="one">
          <h3 i18n>Token</h3>
          <nb-copy-block [text]="token.token" i18n-label label="SCIM token" />
        </div>
        <button actions type="button" class="button primary" (click)="ref.close()" i18n>I have copied it</button>
      </nb-dialog-frame>
    } @else {
      <form [formGroup]="form" (ngSubmit)="send()" novalidate>
        <nb-dialog-frame i18n-heading heading="New SCIM token">
          <nb-problem [problem]="sending.problem()" />
          <nb-field i18n-label label="Name" i18n-hint hint="Which directory uses it: “Entra ID”." [error]="sending.error('name')">
            <input nbInput autocomplete="off" maxlength="100" formControlName="name" cdkFocusInitial />
          </nb-field>
          <nb-field i18n-label label="Ends by itself after" [error]="sending.error('expires_in_days')">
            <select nbInput formControlName="expires_in_days">
              <option [ngValue]="90" i18n>90 days</option>
              <option [ngValue]="365" i18n>One year</option>
              <option [ngValue]="730" i18n>Two years</option>
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
  styles: `
    .one {
      display: grid;
      gap: var(--s1);
    }
  `,
})
export class CreateScimToken {
  private readonly api = inject(Api);
  protected readonly ref = inject<DialogRef<void>>(DialogRef);
  protected readonly base = `${location.origin}/scim/v2`;
  protected readonly made = signal<NewScimToken | null>(null);
  protected readonly form = new FormGroup({
    name: new FormControl('', { nonNullable: true, validators: Validators.required }),
    expires_in_days: new FormControl(365, { nonNullable: true }),
  });
  protected readonly sending = submit(this.form);

  protected async send(): Promise<void> {
    if (!this.sending.ready()) return;
    await this.sending.run(async () =>
      this.made.set(await this.api.post<NewScimToken>('/scim-tokens', this.form.getRawValue())),
    );
    if (this.made()) this.ref.disableClose = true;
  }
}
