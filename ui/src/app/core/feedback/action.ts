import { Signal, inject, signal } from '@angular/core';

import { isAbort } from '../api/api';
import { Problem, asProblem } from '../api/problem';
import { Toasts } from './toasts';

/** Something a person starts and that takes a while. */
export interface Action {
  readonly busy: Signal<boolean>;
  readonly problem: Signal<Problem | null>;
  /**
   * Does the work once; a second call while it runs is ignored. A failure is kept
   * in `problem`, or told as a toast when the action was made with `toast`.
   * Answers whether the work succeeded.
   */
  run(work: () => Promise<unknown>): Promise<boolean>;
  /** Forgets the last failure. */
  clear(): void;
}

/** Makes an Action. Call it in an injection context. */
export function action(presentation: 'inline' | 'toast' = 'inline'): Action {
  const toasts = inject(Toasts);
  const busy = signal(false);
  const problem = signal<Problem | null>(null);

  const run = async (work: () => Promise<unknown>): Promise<boolean> => {
    if (busy()) return false;
    busy.set(true);
    problem.set(null);
    try {
      await work();
      return true;
    } catch (cause) {
      if (presentation === 'toast') toasts.failed(cause);
      else if (!isAbort(cause)) problem.set(asProblem(cause));
      return false;
    } finally {
      busy.set(false);
    }
  };
  return { busy: busy.asReadonly(), problem: problem.asReadonly(), run, clear: () => problem.set(null) };
}
