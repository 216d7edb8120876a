import { DIALOG_DATA, DialogRef } from '@angular/cdk/dialog';
import { ChangeDetectionStrategy, Component, inject, signal, viewChild } from '@angular/core';
import { FormControl, FormGroup, ReactiveFormsModule, Validators } from '@angular/forms';

import { Api } from '@core/api/api';
import { DialogFrame } from '@core/dialog/dialog-frame';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Field, FieldInput } from '@core/form/field';
import { submit } from '@core/form/submit';
import { CopyBlock } from '@core/page/copy-block';

import { Reach, scopesOf } from './scope';
import { ScopeEditor } from './scope-editor';
import { ServiceAccount } from './service-account';

/** Makes a token for a service account and shows it once. */
@Component({
  selector: 'nb-create-service-token',
  imports: [CopyBlock, DialogFrame, Field, FieldInput, ProblemNotice, ReactiveFormsModule, ScopeEditor],
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
        <nb-dialog-frame [heading]="heading">
          <nb-problem [problem]="sending.problem()" />
          <nb-field
            i18n-label
            label="Name"
            i18n-hint
            hint="Where it is kept, so that you know it again: “CI, main repository”."
            [error]="sending.error('name')"
          >
            <input nbInput autocomplete="off" maxlength="100" formControlName="name" cdkFocusInitial />
          </nb-field>
          <nb-field i18n-label label="Ends by itself after" [error]="sending.error('expires_in_days')">
            <select nbInput formControlName="expires_in_days">
              <option [ngValue]="7" i18n>7 days</option>
              <option [ngValue]="30" i18n>30 days</option>
              <option [ngValue]="90" i18n>90 days</option>
              <option [ngValue]="365" i18n>One year</option>
            </select>
          </nb-field>
          <nb-scope-editor [(reach)]="reach" [(chosen)]="chosen" />
          <ng-container actions>
            <button type="button" class="button" (click)="ref.close()" i18n>Cancel</button>
            <button class="button primary" [disabled]="sending.busy()" i18n>Create token</button>
          </ng-container>
        </nb-dialog-frame>
      </form>
    }
  `,
})
export class CreateServiceToken {
  private readonly api = inject(Api);
  private readonly account = inject<ServiceAccount>(DIALOG_DATA);
  private readonly scopes = viewChild.required(ScopeEditor);
  protected readonly ref = inject<DialogRef<void>>(DialogRef);
  protected readonly heading = $localize`New token for ${this.account.name}`;
  protected readonly made = signal<{ name: string; token: string } | null>(null);
  protected readonly reach = signal<Reach>('all');
  protected readonly chosen = signal<readonly string[]>([]);
  protected readonly form = new FormGroup({
    name: new FormControl('', { nonNullable: true, validators: Validators.required }),
    expires_in_days: new FormControl(90, { nonNullable: true }),
  });
  protected readonly sending = submit(this.form);

  protected async send(): Promise<void> {
    const ready = [this.scopes().ready(), this.sending.ready()];
    if (ready.includes(false)) return;
    const body = { ...this.form.getRawValue(), scopes: scopesOf(this.reach(), this.chosen()) };
    const path = `/service-accounts/${this.account.id}/tokens`;
    await this.sending.run(async () => this.made.set(await this.api.post<{ name: string; token: string }>(path, body)));
    if (this.made()) this.ref.disableClose = true;
  }
}
