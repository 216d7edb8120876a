import { Signal, effect, signal } from '@angular/core';
import { FormGroup } from '@angular/forms';

import { Action, action } from '../feedback/action';

/** A form that is sent to the server; control names are the body's own field names. */
export interface Submit extends Action {
  /** Marks every control and answers whether the form may be sent; if not, moves the focus there. */
  ready(): boolean;
  /** What is wrong with a control, in words; empty while it was not touched. */
  error(name: string): string;
  /** Rises with every change and blur, so that templates read errors anew. */
  readonly touched: Signal<number>;
}

/** Binds a form to an Action: client checks and the server's field errors in one place. */
export function submit(form: FormGroup): Submit {
  const work = action();
  const touched = signal(0);
  form.events.subscribe(() => touched.update((count) => count + 1));
  effect(() => {
    if (work.problem()?.fields.length) form.markAllAsTouched();
  });
  return {
    ...work,
    touched: touched.asReadonly(),
    ready: () => {
      form.markAllAsTouched();
      touched.update((count) => count + 1);
      if (form.invalid) queueMicrotask(focusFirstInvalid);
      return form.valid;
    },
    error: (name) => {
      touched();
      const control = form.get(name);
      if (control?.touched && control.errors) return sentence(control.errors);
      return work.problem()?.field(name.split('.').at(-1) ?? name) ?? '';
    },
  };
}

function focusFirstInvalid(): void {
  setTimeout(() => {
    document.querySelector<HTMLElement>('[nbInput].ng-invalid, [nbInput][aria-invalid=true]')?.focus();
  });
}

function sentence(errors: Record<string, unknown>): string {
  if (errors['required']) return $localize`Fill in this field.`;
  if (errors['email']) return $localize`Enter an address such as name@example.org.`;
  const length = errors['minlength'] as { requiredLength: number } | undefined;
  if (length) return $localize`Use at least ${length.requiredLength} characters.`;
  if (errors['min'] || errors['max']) return $localize`This number is out of range.`;
  const own = errors['message'];
  return typeof own === 'string' ? own : $localize`This value does not fit.`;
}
