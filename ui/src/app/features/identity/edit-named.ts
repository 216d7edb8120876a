import { DIALOG_DATA, DialogRef } from '@angular/cdk/dialog';
import { ChangeDetectionStrategy, Component, inject } from '@angular/core';
import { FormControl, FormGroup, ReactiveFormsModule, Validators } from '@angular/forms';

import { Api } from '@core/api/api';
import { DialogFrame } from '@core/dialog/dialog-frame';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Field, FieldInput } from '@core/form/field';
import { submit } from '@core/form/submit';

/** Something with a name and a description that is made or changed. */
export interface NamedDraft {
  heading: string;
  hint?: string;
  /** The button. */
  verb: string;
  path: string;
  /** Set when it exists already. */
  id?: string;
  name: string;
  description: string;
}

/** Makes or changes something with a name and a description; closes with the server's answer. */
@Component({
  selector: 'nb-edit-named',
  imports: [DialogFrame, Field, FieldInput, ProblemNotice, ReactiveFormsModule],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <form [formGroup]="form" (ngSubmit)="send()" novalidate>
      <nb-dialog-frame [heading]="draft.heading">
        <nb-problem [problem]="sending.problem()" />
        <nb-field i18n-label label="Name" [hint]="draft.hint ?? ''" [error]="sending.error('name')">
          <input nbInput autocomplete="off" maxlength="100" formControlName="name" cdkFocusInitial />
        </nb-field>
        <nb-field i18n-label label="Description" [optional]="true" [error]="sending.error('description')">
          <textarea nbInput rows="2" maxlength="1000" formControlName="description"></textarea>
        </nb-field>
        <ng-container actions>
          <button type="button" class="button" (click)="ref.close()" i18n>Cancel</button>
          <button class="button primary" [disabled]="sending.busy()">{{ draft.verb }}</button>
        </ng-container>
      </nb-dialog-frame>
    </form>
  `,
})
export class EditNamed {
  private readonly api = inject(Api);
  protected readonly ref = inject<DialogRef<unknown>>(DialogRef);
  protected readonly draft = inject<NamedDraft>(DIALOG_DATA);
  protected readonly form = new FormGroup({
    name: new FormControl(this.draft.name, { nonNullable: true, validators: Validators.required }),
    description: new FormControl(this.draft.description, { nonNullable: true }),
  });
  protected readonly sending = submit(this.form);

  protected async send(): Promise<void> {
    if (!this.sending.ready()) return;
    await this.sending.run(async () => this.ref.close((await this.save()) ?? true));
  }

  private save(): Promise<unknown> {
    const { id, path } = this.draft;
    const body = this.form.getRawValue();
    return id ? this.api.patch(`${path}/${id}`, body) : this.api.post<unknown>(path, body);
  }
}
