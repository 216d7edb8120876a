import { ChangeDetectionStrategy, Component, ElementRef, computed, input, output, signal, viewChild } from '@angular/core';

import { localTime } from '@core/time/format';

import { Bar, Span, barsBetween, barsOf } from './buckets';
import { Bucket } from './record';

/** Records over time, with what was refused or failed in colour. Dragging across it narrows the time. */
@Component({
  selector: 'nb-histogram',
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <div class="plot" #plot (pointerdown)="begin($event)" (pointermove)="move($event)" (pointerup)="end()" (pointercancel)="brush.set(null)">
      <svg role="img" [attr.aria-label]="summary()" [attr.viewBox]="'0 0 ' + bars().length + ' 100'" preserveAspectRatio="none">
        @for (bar of bars(); track bar.from) {
          <g>
            <title>{{ told(bar) }}</title>
            <rect class="catch" [attr.x]="$index" y="0" width="1" height="100" />
            <rect class="all" [attr.x]="$index + 0.1" width="0.8" [attr.y]="100 - height(bar.count)" [attr.height]="height(bar.count)" />
            @if (bar.failed + bar.denied; as bad) {
              <rect class="bad" [attr.x]="$index + 0.1" width="0.8" [attr.y]="100 - height(bad)" [attr.height]="height(bad)" />
            }
          </g>
        }
      </svg>
      @if (brush(); as b) {
        <div class="brush" [style.left.%]="min(b) * 100" [style.width.%]="width(b) * 100"></div>
      }
    </div>
    <div class="axis small-text soft">
      <span>{{ at(span().from) }}</span>
      <span class="legend"><i class="all"></i><ng-container i18n>records</ng-container><i class="bad"></i><ng-container i18n>refused or failed</ng-container></span>
      <span>{{ at(span().to) }}</span>
    </div>
  `,
  styles: `
    :host {
      display: block;
      padding: var(--s3) var(--s4) var(--s2);
    }
    .plot {
      position: relative;
      height: var(--plot, 5rem);
      border-bottom: 1px solid var(--line-strong);
      cursor: crosshair;
      touch-action: pan-y;
    }
    svg {
      display: block;
      width: 100%;
      height: 100%;
    }
    .catch {
      fill: transparent;
    }
    rect.all {
      fill: var(--accent);
      opacity: 0.75;
    }
    rect.bad {
      fill: var(--bad);
    }
    g:hover rect.all {
      opacity: 1;
    }
    .brush {
      position: absolute;
      inset-block: 0;
      background: color-mix(in srgb, var(--accent) 22%, transparent);
      border-inline: 1px solid var(--accent);
      pointer-events: none;
    }
    .axis {
      display: flex;
      flex-wrap: wrap;
      justify-content: space-between;
      gap: 0 var(--s4);
      padding-top: var(--s1);
    }
    .legend {
      display: inline-flex;
      align-items: center;
      gap: var(--s1);
    }
    i {
      width: 0.6rem;
      height: 0.6rem;
      margin-left: var(--s2);
      border-radius: 2px;
      background: var(--accent);
    }
    i.bad {
      background: var(--bad);
    }
  `,
})
export class Histogram {
  private readonly plot = viewChild.required<ElementRef<HTMLElement>>('plot');

  readonly buckets = input.required<readonly Bucket[]>();
  readonly span = input.required<Span>();
  /** The time that was dragged across. */
  readonly narrow = output<{ from: string; to: string }>();

  protected readonly bars = computed(() => barsOf(this.buckets(), this.span()));
  protected readonly brush = signal<{ a: number; b: number } | null>(null);
  private readonly most = computed(() => Math.max(1, ...this.bars().map((bar) => bar.count)));
  protected readonly summary = computed(() => {
    const sum = (of: (bar: Bar) => number): number => this.bars().reduce((all, bar) => all + of(bar), 0);
    const [count, bad] = [sum((bar) => bar.count), sum((bar) => bar.denied + bar.failed)];
    return $localize`${count} records, ${bad} refused or failed, from ${this.at(this.span().from)} to ${this.at(this.span().to)}`;
  });

  // A single record is seen beside thousands.
  protected height(count: number): number {
    return count === 0 ? 0 : Math.max(3, (count * 100) / this.most());
  }

  protected at(moment: number): string {
    return localTime(new Date(moment));
  }

  protected told(bar: Bar): string {
    return $localize`${this.at(bar.from)} – ${bar.count} records, ${bar.denied} refused, ${bar.failed} failed, ${bar.critical} critical`;
  }

  protected min(brush: { a: number; b: number }): number {
    return Math.min(brush.a, brush.b);
  }

  protected width(brush: { a: number; b: number }): number {
    return Math.abs(brush.a - brush.b);
  }

  protected begin(event: PointerEvent): void {
    if (event.button !== 0) return;
    this.plot().nativeElement.setPointerCapture(event.pointerId);
    const a = this.share(event);
    this.brush.set({ a, b: a });
  }

  protected move(event: PointerEvent): void {
    const brush = this.brush();
    if (brush) this.brush.set({ ...brush, b: this.share(event) });
  }

  protected end(): void {
    const brush = this.brush();
    this.brush.set(null);
    const range = brush && barsBetween(this.bars(), brush.a, brush.b);
    if (range) this.narrow.emit({ from: new Date(range.from).toISOString(), to: new Date(range.to).toISOString() });
  }

  private share(event: PointerEvent): number {
    const box = this.plot().nativeElement.getBoundingClientRect();
    return Math.max(0, Math.min(0.9999, (event.clientX - box.left) / box.width));
  }
}
