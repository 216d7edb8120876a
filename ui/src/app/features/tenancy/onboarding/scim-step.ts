import { ChangeDetectionStrategy, Component, inject } from '@angular/core';
import { toSignal } from '@angular/core/rxjs-interop';
import { ReactiveFormsModule } from '@angular/forms';

import { Field, FieldInput } from '@core/form/field';

import { Onboarding } from './onboarding';

/** Step 4: a token with which an identity provider makes people and groups; none is fine. */
@Component({
  selector: 'nb-scim-step',
  imports: [Field, FieldInput, ReactiveFormsModule],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <form class="stack" [formGroup]="onboarding.scim" (ngSubmit)="next()" novalidate>
      <label class="check">
        <input type="checkbox" formControlName="make" />
        <span>
          <strong i18n>Make a SCIM token</strong><br />
          <span class="soft" i18n>It is shown once, after the tenant is made. It can see and change only this tenant.</span>
        </span>
      </label>
      @if (make()) {
        <nb-field i18n-label label="Name of the token" i18n-hint hint="What will use it: “Entra ID”." [error]="sending.error('name')">
          <input nbInput autocomplete="off" maxlength="100" formControlName="name" />
        </nb-field>
        <nb-field i18n-label label="Ends by itself after" [error]="sending.error('expires_in_days')">
          <select nbInput formControlName="expires_in_days">
            <option [ngValue]="90" i18n>90 days</option>
            <option [ngValue]="180" i18n>Half a year</option>
            <option [ngValue]="365" i18n>One year</option>
          </select>
        </nb-field>
      }
      <div class="row end">
        <button type="button" class="button" (click)="onboarding.step.set('sign_in')" i18n>Back</button>
        <button class="button primary" i18n>Continue</button>
      </div>
    </form>
  `,
})
export class ScimStep {
  protected readonly onboarding = inject(Onboarding);
  protected readonly sending = this.onboarding.scimSubmit;
  protected readonly make = toSignal(this.onboarding.scim.controls.make.valueChanges, {
    initialValue: this.onboarding.scim.controls.make.value,
  });

  protected next(): void {
    if (this.sending.ready()) this.onboarding.next('scim');
  }
}
