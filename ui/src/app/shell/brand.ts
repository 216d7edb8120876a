import { ChangeDetectionStrategy, Component } from '@angular/core';

/** The mark and the name. */
@Component({
  selector: 'nb-brand',
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <svg viewBox="0 0 28 20" width="28" height="20" fill="none" stroke-width="2.4" stroke-linecap="round" aria-hidden="true">
      <path d="M3 7.5h13a3.3 3.3 0 1 0-3.200-4.200" stroke="var(--brand-wind, var(--accent))" />
      <path d="M1.5 12.5h21M6 17.5h12" stroke="currentColor" />
    </svg>
    <span>Nimbus</span>
  `,
  styles: `
    :host {
      display: inline-flex;
      align-items: center;
      gap: var(--s3);
      font-size: 1.0625rem;
      font-weight: 620;
      letter-spacing: -0.02em;
    }
  `,
})
export class Brand {}
