import { DialogRef } from '@angular/cdk/dialog';
import { ChangeDetectionStrategy, Component, computed, inject } from '@angular/core';
import { FormControl, FormGroup, ReactiveFormsModule, Validators } from '@angular/forms';

import { Api } from '@core/api/api';
import { EventList } from '@core/audit/event-list';
import { DialogFrame } from '@core/dialog/dialog-frame';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Field, FieldInput } from '@core/form/field';
import { submit } from '@core/form/submit';

import { endsBeforeItBegins, holdBody } from './hold';

/** Asks which records stay and why; closes with true when the hold is made. */
@Component({
  selector: 'nb-create-hold',
  imports: [DialogFrame, EventList, Field, FieldInput, ProblemNotice, ReactiveFormsModule],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <form [formGroup]="form" (ngSubmit)="send()" novalidate>
      <nb-dialog-frame i18n-heading heading="New legal hold">
        <nb-problem [problem]="sending.problem()" />
        <nb-field i18n-label label="Name" [error]="sending.error('name')">
          <input nbInput autocomplete="off" maxlength="100" formControlName="name" cdkFocusInitial />
        </nb-field>
        <nb-field i18n-label label="Reason" i18n-hint hint="Such as the number of the case. It is recorded." [error]="sending.error('reason')">
          <textarea nbInput rows="2" maxlength="1000" formControlName="reason"></textarea>
        </nb-field>
        <fieldset>
          <legend i18n>Which records</legend>
          <p class="small-text soft" i18n>What is left empty does not narrow: with nothing filled in, every record is held, future ones too.</p>
          <div class="two">
            <nb-field i18n-label label="From" [optional]="true" [error]="sending.error('from')">
              <input nbInput type="datetime-local" formControlName="from" />
            </nb-field>
            <nb-field i18n-label label="To" [optional]="true" [error]="order() || sending.error('to')">
              <input nbInput type="datetime-local" formControlName="to" />
            </nb-field>
          </div>
          <nb-field i18n-label label="Event, or the beginning of some" [optional]="true" [error]="sending.error('event')">
            <input nbInput class="mono" list="nb-events" autocomplete="off" spellcheck="false" placeholder="identity.session" formControlName="event" />
          </nb-field>
          <div class="two">
            <nb-field i18n-label label="Who" [optional]="true" i18n-hint hint="An identifier, or part of a name" [error]="sending.error('actor')">
              <input nbInput class="mono" autocomplete="off" spellcheck="false" formControlName="actor" />
            </nb-field>
            <nb-field i18n-label label="Target" [optional]="true" i18n-hint hint="An identifier" [error]="sending.error('target')">
              <input nbInput class="mono" autocomplete="off" spellcheck="false" formControlName="target" />
            </nb-field>
          </div>
        </fieldset>
        <ng-container actions>
          <button type="button" class="button" (click)="ref.close()" i18n>Cancel</button>
          <button class="button primary" [disabled]="sending.busy()">
            @if (sending.busy()) { <ng-container i18n>Holding …</ng-container> } @else { <ng-container i18n>Hold these records</ng-container> }
          </button>
        </ng-container>
      </nb-dialog-frame>
      <nb-event-list />
    </form>
  `,
  styleUrl: './dialog.scss',
})
export class CreateHold {
  private readonly api = inject(Api);
  protected readonly ref = inject<DialogRef<boolean>>(DialogRef);
  protected readonly form = new FormGroup({
    name: text(Validators.required),
    reason: text(Validators.required),
    from: text(),
    to: text(),
    event: text(),
    actor: text(),
    target: text(),
  });
  protected readonly sending = submit(this.form);
  protected readonly order = computed(() => {
    this.sending.touched();
    return endsBeforeItBegins(this.form.getRawValue()) ? $localize`It would end before it begins.` : '';
  });

  protected async send(): Promise<void> {
    if (!this.sending.ready() || this.order()) return;
    const body = holdBody(this.form.getRawValue());
    if (await this.sending.run(() => this.api.post('/audit/holds', body))) this.ref.close(true);
  }
}

function text(...validators: typeof Validators.required[]): FormControl<string> {
  return new FormControl('', { nonNullable: true, validators });
}
