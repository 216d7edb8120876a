import { DestroyRef, Signal, computed, effect, inject, signal, untracked } from '@angular/core';

import { Api, Page, Query, isAbort } from '../api/api';
import { Problem, asProblem } from '../api/problem';

/** A list read page by page, newest query wins. */
export interface KeysetList<T> {
  readonly items: Signal<readonly T[]>;
  /** True while the first page is on its way. */
  readonly loading: Signal<boolean>;
  /** True while a further page is on its way. */
  readonly loadingMore: Signal<boolean>;
  readonly problem: Signal<Problem | null>;
  readonly hasMore: Signal<boolean>;
  /** Loaded, no problem, nothing there. */
  readonly empty: Signal<boolean>;
  /** Fields of the last answer beside `items` and `next`, such as `collected_at`. */
  readonly extra: Signal<Readonly<Record<string, unknown>>>;
  /** Reads the first page again and keeps what is shown until it is there. */
  reload(): Promise<void>;
  /** Appends the next page. */
  more(): Promise<void>;
  /** Replaces the items that `match` accepts, for example from an event. */
  patch(match: (item: T) => boolean, change: (item: T) => T): void;
}

/**
 * Reads `path` and reads again when the signals used in it or in `query` change.
 * Call it in an injection context; it ends with its owner. `cursorName` is the
 * query parameter that carries the place to go on from.
 */
export function keysetList<T>(
  path: string | (() => string),
  query: () => Query = () => ({}),
  cursorName = 'cursor',
): KeysetList<T> {
  const api = inject(Api);
  const from = typeof path === 'string' ? () => path : path;
  const items = signal<readonly T[]>([]);
  const next = signal<string | null>(null);
  const extra = signal<Readonly<Record<string, unknown>>>({});
  const loading = signal(true);
  const loadingMore = signal(false);
  const problem = signal<Problem | null>(null);
  let running = new AbortController();

  const read = async (cursor: string | null): Promise<void> => {
    running.abort();
    const mine = (running = new AbortController());
    const busy = cursor ? loadingMore : loading;
    busy.set(true);
    try {
      const asked = { ...untracked(query), [cursorName]: cursor };
      const page = await api.get<Page<T>>(untracked(from), { query: asked, signal: mine.signal });
      const { items: got, next: after, ...rest } = page;
      items.update((old) => (cursor ? [...old, ...got] : got));
      next.set(after || null);
      extra.set(rest);
      problem.set(null);
    } catch (cause) {
      if (!isAbort(cause)) problem.set(asProblem(cause));
    } finally {
      if (running === mine) {
        loading.set(false);
        loadingMore.set(false);
      }
    }
  };

  effect(() => {
    from();
    query();
    untracked(() => void read(null));
  });
  inject(DestroyRef).onDestroy(() => running.abort());
  return {
    items: items.asReadonly(),
    loading: loading.asReadonly(),
    loadingMore: loadingMore.asReadonly(),
    problem: problem.asReadonly(),
    hasMore: computed(() => next() !== null),
    empty: computed(() => !loading() && problem() === null && items().length === 0),
    extra: extra.asReadonly(),
    reload: () => read(null),
    more: () => read(next()),
    patch: (match, change) =>
      items.update((old) => old.map((item) => (match(item) ? change(item) : item))),
  };
}
