import { DestroyRef, Injectable, Signal, computed, inject, signal } from '@angular/core';

import { Api, Page, isAbort } from '@core/api/api';
import { Problem, asProblem } from '@core/api/problem';
import { rereadWithoutLive } from '@core/realtime/fallback';
import { Realtime } from '@core/realtime/realtime';

import { Item } from './item';

interface ItemPage extends Page<Item> {
  collected_at?: string | null;
  stale: boolean;
}

// The server gives at most this many at once, and the page keeps at most so many.
const pageSize = 200;
const limit = 5_000;

/**
 * Every item of the tenant, read page by page, so that tabs can count and
 * filters answer at once. Read again when the server has collected; what is
 * shown stays until the newer answer is complete.
 */
@Injectable()
export class WholeInventory {
  private readonly api = inject(Api);
  private readonly found = signal<readonly Item[]>([]);
  private readonly answer = signal<{ collected_at: string | null; stale: boolean } | null>(null);
  private readonly fault = signal<Problem | null>(null);
  private readonly more = signal(false);
  private reading: Promise<void> | null = null;
  private again = false;
  private readonly ended = new AbortController();

  readonly items: Signal<readonly Item[]> = this.found.asReadonly();
  readonly problem = this.fault.asReadonly();
  readonly loading = computed(() => this.answer() === null && this.fault() === null);
  /** The oldest collection that the list rests on. */
  readonly collectedAt = computed(() => this.answer()?.collected_at ?? null);
  readonly stale = computed(() => this.answer()?.stale ?? false);
  /** Whether there are more items than the page keeps. */
  readonly cut = this.more.asReadonly();

  constructor() {
    inject(DestroyRef).onDestroy(() => this.ended.abort());
    inject(Realtime).on('inventory.updated', () => void this.read());
    rereadWithoutLive(() => this.read(), 15_000);
    void this.read();
  }

  /** Reads everything; a call while a reading runs makes it run once more. */
  read(): Promise<void> {
    this.again = this.reading !== null;
    this.reading ??= this.readAll().finally(() => {
      this.reading = null;
      if (this.again && !this.ended.signal.aborted) void this.read();
    });
    return this.reading;
  }

  private async readAll(): Promise<void> {
    const all: Item[] = [];
    const first = this.answer() === null;
    try {
      let page: ItemPage;
      let cursor: string | null = null;
      do {
        page = await this.page(cursor);
        all.push(...page.items);
        if (first) this.found.set([...all]);
        cursor = page.next;
      } while (cursor && all.length < limit);
      this.found.set(all);
      this.more.set(cursor !== null);
      this.answer.set({ collected_at: page.collected_at ?? null, stale: page.stale });
      this.fault.set(null);
    } catch (cause) {
      if (!isAbort(cause)) this.fault.set(asProblem(cause));
    }
  }

  private page(cursor: string | null): Promise<ItemPage> {
    return this.api.get('/inventory', { query: { cursor, limit: pageSize }, signal: this.ended.signal });
  }
}
