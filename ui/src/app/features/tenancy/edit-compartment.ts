import { DIALOG_DATA, DialogRef } from '@angular/cdk/dialog';
import { ChangeDetectionStrategy, Component, inject } from '@angular/core';
import { FormControl, FormGroup, ReactiveFormsModule, Validators } from '@angular/forms';

import { Api } from '@core/api/api';
import { DialogFrame } from '@core/dialog/dialog-frame';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Field, FieldInput } from '@core/form/field';
import { submit } from '@core/form/submit';

import { Compartment } from './compartment';

/** The compartment to change, or under which one a new one is made. */
export interface CompartmentDraft {
  compartment: Compartment | null;
  parent: Compartment | null;
}

/** Makes a compartment or changes its name; closes with true when saved. */
@Component({
  selector: 'nb-edit-compartment',
  imports: [DialogFrame, Field, FieldInput, ProblemNotice, ReactiveFormsModule],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <form [formGroup]="form" (ngSubmit)="send()" novalidate>
      <nb-dialog-frame [heading]="heading">
        <nb-problem [problem]="sending.problem()" />
        @if (draft.parent; as parent) {
          <p class="soft" i18n>Under {{ parent.path }}</p>
        }
        <nb-field i18n-label label="Name" [error]="sending.error('name')">
          <input nbInput autocomplete="off" maxlength="100" formControlName="name" cdkFocusInitial />
        </nb-field>
        <nb-field i18n-label label="Description" [optional]="true" [error]="sending.error('description')">
          <textarea nbInput rows="2" maxlength="1000" formControlName="description"></textarea>
        </nb-field>
        <ng-container actions>
          <button type="button" class="button" (click)="ref.close(false)" i18n>Cancel</button>
          <button class="button primary" [disabled]="sending.busy()">
            @if (draft.compartment) {
              <ng-container i18n>Save</ng-container>
            } @else {
              <ng-container i18n>Create compartment</ng-container>
            }
          </button>
        </ng-container>
      </nb-dialog-frame>
    </form>
  `,
})
export class EditCompartment {
  private readonly api = inject(Api);
  protected readonly ref = inject<DialogRef<boolean>>(DialogRef);
  protected readonly draft = inject<CompartmentDraft>(DIALOG_DATA);
  protected readonly heading = this.draft.compartment
    ? $localize`Edit ${this.draft.compartment.name}`
    : $localize`New compartment`;
  protected readonly form = new FormGroup({
    name: new FormControl(this.draft.compartment?.name ?? '', {
      nonNullable: true,
      validators: Validators.required,
    }),
    description: new FormControl(this.draft.compartment?.description ?? '', { nonNullable: true }),
  });
  protected readonly sending = submit(this.form);

  protected async send(): Promise<void> {
    if (!this.sending.ready()) return;
    if (await this.sending.run(() => this.save())) this.ref.close(true);
  }

  private save(): Promise<unknown> {
    const body = this.form.getRawValue();
    const { compartment, parent } = this.draft;
    if (compartment) return this.api.patch(`/compartments/${compartment.id}`, body);
    return this.api.post('/compartments', parent ? { ...body, parent_id: parent.id } : body);
  }
}
