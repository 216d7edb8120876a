import { Signal, computed, signal } from '@angular/core';

import { Page } from '../api/api';
import { Problem } from '../api/problem';
import { Source, remote } from '../api/remote';

/** A list that comes in one piece, in the shape that a list frame shows. */
export interface WholeList<T> {
  readonly items: Signal<readonly T[]>;
  readonly loading: Signal<boolean>;
  readonly loadingMore: Signal<boolean>;
  readonly problem: Signal<Problem | null>;
  readonly hasMore: Signal<boolean>;
  readonly empty: Signal<boolean>;
  reload(): Promise<void>;
  more(): Promise<void>;
}

/** Reads a list whose address depends on signals. Call it in an injection context. */
export function wholeList<T>(source: () => Source): WholeList<T> {
  const list = remote<Page<T>>(source);
  const items = computed(() => list.value()?.items ?? []);
  return {
    items,
    loading: list.loading,
    loadingMore: signal(false).asReadonly(),
    problem: list.problem,
    hasMore: signal(false).asReadonly(),
    empty: computed(() => list.value() !== null && !list.problem() && items().length === 0),
    reload: list.reload,
    more: () => Promise.resolve(),
  };
}
