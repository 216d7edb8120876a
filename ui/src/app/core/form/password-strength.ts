import { ChangeDetectionStrategy, Component, computed, input } from '@angular/core';

/**
 * Estimates the bits of a password: the pool of its kinds of characters to the
 * power of its length, where repeated and consecutive characters count little.
 * A coarse guide for the person; the server's policy decides.
 */
export function passwordBits(password: string): number {
  const pools: readonly [RegExp, number][] = [
    [/[a-z]/, 26],
    [/[A-Z]/, 26],
    [/[0-9]/, 10],
    [/[^a-zA-Z0-9]/, 33],
  ];
  const pool = pools.reduce((sum, [kind, size]) => sum + (kind.test(password) ? size : 0), 0);
  if (pool === 0) return 0;
  let length = 0;
  for (let at = 0; at < password.length; at++) {
    const step = at === 0 ? 99 : Math.abs(password.charCodeAt(at) - password.charCodeAt(at - 1));
    length += step <= 1 ? 0.25 : 1;
  }
  const variety = new Set(password).size / Math.max(1, Math.min(password.length, 12));
  return Math.round(length * Math.log2(pool) * Math.min(1, variety + 0.25));
}

/** A bar and a word for the strength of a password. */
@Component({
  selector: 'nb-password-strength',
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <div class="bar" aria-hidden="true">
      @for (step of [1, 2, 3, 4]; track step) {
        <i [class.on]="level() >= step"></i>
      }
    </div>
    <p aria-live="polite">{{ word() }}</p>
  `,
  host: { '[class]': "['tone-bad', 'tone-bad', 'tone-warn', 'tone-good', 'tone-good'][level()]" },
  styles: `
    :host {
      display: flex;
      align-items: center;
      gap: var(--s3);
      min-height: 1.2rem;
    }
    .bar {
      display: grid;
      grid-template-columns: repeat(4, 1fr);
      gap: 3px;
      width: 9rem;
    }
    i {
      height: 4px;
      border-radius: 2px;
      background: var(--line);
    }
    i.on {
      background: var(--tone);
    }
    p {
      color: var(--ink-soft);
      font-size: var(--text-s);
    }
  `,
})
export class PasswordStrength {
  readonly password = input.required<string>();

  protected readonly level = computed(() => {
    const password = this.password();
    if (!password) return 0;
    const bits = passwordBits(password);
    if (password.length < 12 || bits < 45) return 1;
    return bits < 65 ? 2 : bits < 85 ? 3 : 4;
  });
  protected readonly word = computed(
    () =>
      [
        '',
        $localize`Too weak: make it longer`,
        $localize`Fair: a few more words help`,
        $localize`Good`,
        $localize`Strong`,
      ][this.level()] ?? '',
  );
}
