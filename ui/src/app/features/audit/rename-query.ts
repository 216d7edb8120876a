import { DIALOG_DATA, DialogRef } from '@angular/cdk/dialog';
import { ChangeDetectionStrategy, Component, inject } from '@angular/core';
import { Params } from '@angular/router';
import { FormControl, FormGroup, ReactiveFormsModule, Validators } from '@angular/forms';

import { Api } from '@core/api/api';
import { DialogFrame } from '@core/dialog/dialog-frame';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Field, FieldInput } from '@core/form/field';
import { submit } from '@core/form/submit';

import { SavedQuery } from './record';

/** What the dialog is opened with. */
export interface RenameData {
  query: SavedQuery;
  /** The filter of the page, which may take the place of the saved one; null when nothing is filtered. */
  filter: Params | null;
  mayShare: boolean;
}

/** Changes a saved query's name, who sees it and what it asks for; closes with true when it did. */
@Component({
  selector: 'nb-rename-query',
  imports: [DialogFrame, Field, FieldInput, ProblemNotice, ReactiveFormsModule],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <form [formGroup]="form" (ngSubmit)="send()" novalidate>
      <nb-dialog-frame i18n-heading heading="Saved query">
        <nb-problem [problem]="sending.problem()" />
        <nb-field i18n-label label="Name" [error]="sending.error('name')">
          <input nbInput autocomplete="off" maxlength="100" formControlName="name" cdkFocusInitial />
        </nb-field>
        <label class="check">
          <input type="checkbox" formControlName="shared" />
          <span>
            <ng-container i18n>Everybody who may read the audit trail sees it</ng-container>
            @if (!data.mayShare) {
              <br /><span class="soft small-text" i18n>Sharing needs audit:query:share.</span>
            }
          </span>
        </label>
        @if (data.filter) {
          <label class="check">
            <input type="checkbox" formControlName="replace" />
            <span>
              <ng-container i18n>Ask for what the page is filtered by now</ng-container><br />
              <span class="soft small-text" i18n>What the query asked for until now is forgotten.</span>
            </span>
          </label>
        }
        <ng-container actions>
          <button type="button" class="button" (click)="ref.close()" i18n>Cancel</button>
          <button class="button primary" [disabled]="sending.busy()">
            @if (sending.busy()) {
              <ng-container i18n>Saving …</ng-container>
            } @else {
              <ng-container i18n>Save</ng-container>
            }
          </button>
        </ng-container>
      </nb-dialog-frame>
    </form>
  `,
})
export class RenameQuery {
  private readonly api = inject(Api);
  protected readonly data = inject<RenameData>(DIALOG_DATA);
  protected readonly ref = inject<DialogRef<boolean>>(DialogRef);
  protected readonly form = new FormGroup({
    name: new FormControl(this.data.query.name, { nonNullable: true, validators: Validators.required }),
    shared: new FormControl({ value: this.data.query.shared, disabled: !this.data.mayShare }, { nonNullable: true }),
    replace: new FormControl(false, { nonNullable: true }),
  });
  protected readonly sending = submit(this.form);

  protected async send(): Promise<void> {
    if (!this.sending.ready()) return;
    const { name, shared, replace } = this.form.getRawValue();
    const body = { name: name.trim(), ...(this.data.mayShare ? { shared } : {}), ...(replace ? { filter: this.data.filter } : {}) };
    if (await this.sending.run(() => this.api.patch(`/audit/queries/${this.data.query.id}`, body))) this.ref.close(true);
  }
}
