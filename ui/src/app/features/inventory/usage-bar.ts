import { ChangeDetectionStrategy, Component, computed, input } from '@angular/core';

/** How much of something is used: a bar and the number in words. */
@Component({
  selector: 'nb-usage',
  changeDetection: ChangeDetectionStrategy.OnPush,
  host: { '[class]': 'level()' },
  template: `
    @if (percent() !== null) {
      <span class="bar" aria-hidden="true"><i [style.width.%]="percent()"></i></span>
      <span class="words">{{ percent() }} %@if (of()) {<span class="soft"> {{ of() }}</span>}</span>
    } @else {
      <span class="words soft">{{ of() || '–' }}</span>
    }
  `,
  styles: `
    :host {
      --tone: var(--accent);

      display: flex;
      align-items: center;
      gap: var(--s2);
      min-width: 0;
      font-size: var(--text-s);
      font-variant-numeric: tabular-nums;
      white-space: nowrap;
    }
    :host(.warn) {
      --tone: var(--warn);
    }
    :host(.bad) {
      --tone: var(--bad);
    }
    .bar {
      flex: 0 1 4rem;
      min-width: 2rem;
      height: 0.375rem;
      border-radius: 3px;
      background: var(--line);
      overflow: hidden;
    }
    i {
      display: block;
      height: 100%;
      border-radius: 3px;
      background: var(--tone);
    }
    .words {
      overflow: hidden;
      text-overflow: ellipsis;
    }
  `,
})
export class UsageBar {
  /** 0 to 1, or null when it is not known. */
  readonly share = input.required<number | null>();
  /** Of how much, in words: "of 4 GiB". */
  readonly of = input('');
  protected readonly percent = computed(() => {
    const share = this.share();
    return share === null ? null : Math.round(share * 100);
  });
  protected readonly level = computed(() => {
    const percent = this.percent() ?? 0;
    return percent >= 95 ? 'bad' : percent >= 85 ? 'warn' : 'fine';
  });
}
