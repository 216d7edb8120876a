import { DestroyRef, Signal, effect, inject, signal } from '@angular/core';

import { isAbort } from './api';
import { Problem, asProblem } from './problem';

/** A question to the server that changes while it is written. */
export interface Answered<T> {
  /** The answer to the newest question; null while there is none. */
  readonly value: Signal<T | null>;
  readonly busy: Signal<boolean>;
  readonly problem: Signal<Problem | null>;
}

/**
 * Does what `question()` gives when its signals have been still for a moment; the
 * newest question wins. Null asks nothing. Call it in an injection context.
 */
export function answered<T>(question: () => ((signal: AbortSignal) => Promise<T>) | null, still = 400): Answered<T> {
  const value = signal<T | null>(null);
  const busy = signal(false);
  const problem = signal<Problem | null>(null);
  let running = new AbortController();

  const ask = async (send: (signal: AbortSignal) => Promise<T>): Promise<void> => {
    const mine = (running = new AbortController());
    busy.set(true);
    try {
      value.set(await send(mine.signal));
      problem.set(null);
    } catch (cause) {
      if (isAbort(cause)) return;
      problem.set(asProblem(cause));
      value.set(null);
    } finally {
      if (running === mine) busy.set(false);
    }
  };

  effect((cleanup) => {
    const send = question();
    running.abort();
    if (send === null) {
      value.set(null);
      problem.set(null);
      busy.set(false);
      return;
    }
    const timer = setTimeout(() => void ask(send), still);
    cleanup(() => clearTimeout(timer));
  });
  inject(DestroyRef).onDestroy(() => running.abort());
  return { value: value.asReadonly(), busy: busy.asReadonly(), problem: problem.asReadonly() };
}
