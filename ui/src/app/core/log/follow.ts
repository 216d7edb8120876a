import { DestroyRef, Directive, ElementRef, effect, inject, input, signal } from '@angular/core';

/**
 * Keeps a scrolling log at its end while `nbFollow` (how many lines there are)
 * rises. Scrolling up pauses it, scrolling to the end or `resume` goes on.
 */
@Directive({
  selector: '[nbFollow]',
  exportAs: 'nbFollow',
  host: { '(scroll)': 'scrolled()' },
})
export class Follow {
  private readonly element = inject<ElementRef<HTMLElement>>(ElementRef).nativeElement;
  private readonly active = signal(true);

  readonly count = input.required<number>({ alias: 'nbFollow' });
  /** Whether new lines scroll into view. */
  readonly following = this.active.asReadonly();

  constructor() {
    let frame = 0;
    inject(DestroyRef).onDestroy(() => cancelAnimationFrame(frame));
    effect(() => {
      if (this.count() === 0 || !this.active()) return;
      cancelAnimationFrame(frame);
      frame = requestAnimationFrame(() => this.toEnd());
    });
  }

  /** Goes to the end and stays there. */
  resume(): void {
    this.active.set(true);
    this.toEnd();
  }

  /** Stays where it is. */
  pause(): void {
    this.active.set(false);
  }

  protected scrolled(): void {
    const { scrollTop, clientHeight, scrollHeight } = this.element;
    this.active.set(scrollHeight - scrollTop - clientHeight < 24);
  }

  private toEnd(): void {
    this.element.scrollTop = this.element.scrollHeight;
  }
}
