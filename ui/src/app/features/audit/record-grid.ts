import { CdkVirtualScrollViewport, ScrollingModule } from '@angular/cdk/scrolling';
import { ChangeDetectionStrategy, Component, DestroyRef, afterNextRender, computed, inject, input, signal, viewChild } from '@angular/core';
import { Router, RouterLink } from '@angular/router';

import { KeysetList } from '@core/list/keyset-list';
import { Badge } from '@core/page/badge';
import { Time } from '@core/time/time';

import { AuditRecord, isUrgent, outcomeTone, priorityTone, targetName, whoActed } from './record';

const tries = 10; // frames that a row may take to be drawn
const ahead = 30; // rows from the end at which the next page is asked for

/**
 * Records as a grid of rows of one height, of which only those in sight are in
 * the page: ten million records cost what thirty do. Arrow keys, j and k move, Enter opens.
 */
@Component({
  selector: 'nb-record-grid',
  imports: [Badge, RouterLink, ScrollingModule, Time],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './record-grid.html',
  styleUrl: './record-grid.scss',
})
export class RecordGrid {
  private readonly router = inject(Router);
  private readonly narrow = matchMedia('(max-width: 720px)').matches;
  private readonly viewport = viewChild.required(CdkVirtualScrollViewport);

  readonly list = input.required<KeysetList<AuditRecord>>();
  /** Rows closer together. */
  readonly dense = input(false);

  protected readonly height = computed(() => (this.narrow ? 60 : this.dense() ? 30 : 42));
  protected readonly active = signal(0);
  private moving = false;
  private readonly first = signal(0);
  private readonly shown = computed(() => Math.ceil(620 / this.height()));
  /** The one row that Tab reaches: the active one, or the first in sight. */
  protected readonly reached = computed(() => {
    const inSight = this.active() >= this.first() && this.active() < this.first() + this.shown();
    return inSight ? this.active() : this.first();
  });
  protected readonly tone = outcomeTone;
  protected readonly priorityTone = priorityTone;
  protected readonly urgent = isUrgent;
  protected readonly called = targetName;
  protected readonly who = whoActed;
  protected readonly trackSequence = (_: number, record: AuditRecord): number => record.sequence;

  constructor() {
    // The grid may be made before it has its height: it is measured again whenever that changes.
    const measured = new ResizeObserver(() => this.viewport().checkViewportSize());
    afterNextRender(() => measured.observe(this.viewport().elementRef.nativeElement));
    inject(DestroyRef).onDestroy(() => measured.disconnect());
  }

  protected scrolled(first: number): void {
    this.first.set(first);
    const list = this.list();
    const near = first + this.shown() + ahead >= list.items().length;
    if (near && list.hasMore() && !list.loadingMore() && !list.loading() && !list.problem()) void list.more();
  }

  // Focus follows the active row while keys move it, and leads it otherwise.
  protected focused(at: number): void {
    if (!this.moving) this.active.set(at);
  }

  protected press(event: KeyboardEvent): void {
    const last = this.list().items().length - 1;
    const page = this.shown() - 2;
    const from = this.moving ? this.active() : this.reached();
    const to: Record<string, number> = {
      ArrowDown: from + 1,
      j: from + 1,
      ArrowUp: from - 1,
      k: from - 1,
      PageDown: from + page,
      PageUp: from - page,
      Home: 0,
      End: last,
    };
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === 'Enter') return this.open(event, from);
    const wanted = to[event.key];
    if (wanted === undefined) return;
    event.preventDefault();
    this.go(Math.max(0, Math.min(last, wanted)));
  }

  private open(event: Event, at: number): void {
    const record = this.list().items()[at];
    if (!record) return;
    event.preventDefault();
    void this.router.navigate(['/audit', record.sequence]);
  }

  private go(at: number): void {
    this.active.set(at);
    const viewport = this.viewport();
    const top = viewport.measureScrollOffset();
    const size = viewport.getViewportSize();
    const [above, below] = [at * this.height(), (at + 1) * this.height()];
    if (above < top) viewport.scrollToOffset(above);
    else if (below > top + size) viewport.scrollToOffset(below - size);
    this.moving = true;
    requestAnimationFrame(() => this.focusActive(tries));
  }

  // The row comes into the page some frames after the grid was scrolled there.
  private focusActive(left: number): void {
    const row = `[data-row="${this.active()}"] a`;
    const link = this.viewport().elementRef.nativeElement.querySelector<HTMLElement>(row);
    if (!link && left > 0) return void requestAnimationFrame(() => this.focusActive(left - 1));
    link?.focus({ preventScroll: true });
    this.moving = false;
  }
}
