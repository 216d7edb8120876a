import { ChangeDetectionStrategy, Component, computed, inject, output } from '@angular/core';
import {
  AbstractControl,
  FormControl,
  FormGroup,
  ReactiveFormsModule,
  ValidationErrors,
  ValidatorFn,
  Validators,
} from '@angular/forms';

import { ProblemNotice } from '@core/feedback/problem-notice';
import { Field, FieldInput } from '@core/form/field';
import { PasswordStrength } from '@core/form/password-strength';
import { submit } from '@core/form/submit';

import { Checklist } from './checklist';
import { Setup } from './setup';
import { StepFrame } from './step-frame';

/** The first tenant and the first administrator. */
@Component({
  selector: 'nb-organisation-step',
  imports: [Checklist, Field, FieldInput, PasswordStrength, ProblemNotice, ReactiveFormsModule, StepFrame],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './organisation-step.html',
})
export class OrganisationStep {
  private readonly setup = inject(Setup);
  readonly saved = output();

  protected readonly done = computed(() => this.setup.isDone('organisation'));
  protected readonly form = new FormGroup({
    tenant_name: text(this.earlier('tenant_name'), Validators.required),
    admin_name: text(this.earlier('admin_name'), Validators.required),
    admin_email: text(this.earlier('admin_email'), [Validators.required, Validators.email]),
    admin_password: text('', [Validators.required, Validators.minLength(12)]),
    again: text('', [Validators.required, same]),
  });
  protected readonly sending = submit(this.form);
  protected readonly summary = computed(
    () => $localize`${this.earlier('admin_email')} is the administrator of ${this.earlier('tenant_name')}.`,
  );

  constructor() {
    const { admin_password, again } = this.form.controls;
    admin_password.valueChanges.subscribe(() => again.updateValueAndValidity());
  }

  protected async send(): Promise<void> {
    if (!this.sending.ready()) return;
    const { again: _again, ...body } = this.form.getRawValue();
    if (await this.sending.run(() => this.setup.save('organisation', body))) this.saved.emit();
  }

  private earlier(key: string): string {
    return this.setup.answer('organisation', key);
  }
}

function same(control: AbstractControl<string>): ValidationErrors | null {
  const password = control.parent?.get('admin_password')?.value as string | undefined;
  return password === control.value ? null : { message: $localize`The two passwords differ.` };
}

function text(value: string, validators: ValidatorFn | ValidatorFn[]): FormControl<string> {
  return new FormControl(value, { nonNullable: true, validators });
}
