import { AbstractControl, FormControl, FormGroup, ValidationErrors, Validators } from '@angular/forms';

/** The controls of a password that is typed twice. */
export function newPasswordControls() {
  const password = new FormControl('', { nonNullable: true, validators: [Validators.required, Validators.minLength(8)] });
  const again = new FormControl('', { nonNullable: true, validators: [Validators.required, sameAsPassword] });
  password.valueChanges.subscribe(() => again.updateValueAndValidity());
  return { password, again };
}

/** A form of such a password alone. */
export function newPasswordForm() {
  return new FormGroup(newPasswordControls());
}

/** Refuses a repetition that is not the same. */
export function sameAsPassword(control: AbstractControl): ValidationErrors | null {
  const password: unknown = control.parent?.get('password')?.value;
  return control.value === password ? null : { message: $localize`The two are not the same.` };
}
