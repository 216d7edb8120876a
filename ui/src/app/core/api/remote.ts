import { DestroyRef, Signal, effect, inject, signal, untracked } from '@angular/core';

import { Api, Query, isAbort } from './api';
import { Problem, asProblem } from './problem';

/** A value that lives on the server, read into signals. */
export interface Remote<T> {
  /** The last answer; it stays while a newer one is loaded. */
  readonly value: Signal<T | null>;
  readonly loading: Signal<boolean>;
  readonly problem: Signal<Problem | null>;
  /** Reads again. */
  reload(): Promise<void>;
  /** Puts a value that came another way, for example from an event. */
  set(value: T): void;
}

/** What to read: a path, a path with a query, or null for nothing yet. */
export type Source = string | { path: string; query: Query } | null;

/**
 * Reads a resource and reads again whenever the signals that `source` uses
 * change. Call it in an injection context; it ends with its owner.
 */
export function remote<T>(source: () => Source): Remote<T> {
  const api = inject(Api);
  const value = signal<T | null>(null);
  const loading = signal(true);
  const problem = signal<Problem | null>(null);
  let running = new AbortController();

  const read = async (from: Source): Promise<void> => {
    running.abort();
    if (from === null) return loading.set(false);
    const mine = (running = new AbortController());
    loading.set(true);
    const { path, query } = typeof from === 'string' ? { path: from, query: {} } : from;
    try {
      value.set(await api.get<T>(path, { query, signal: mine.signal }));
      problem.set(null);
    } catch (cause) {
      if (!isAbort(cause)) problem.set(asProblem(cause));
    } finally {
      if (running === mine) loading.set(false);
    }
  };

  effect(() => {
    const from = source();
    untracked(() => void read(from));
  });
  inject(DestroyRef).onDestroy(() => running.abort());
  return {
    value: value.asReadonly(),
    loading: loading.asReadonly(),
    problem: problem.asReadonly(),
    reload: () => read(untracked(source)),
    set: (next) => value.set(next),
  };
}
