import { ChangeDetectionStrategy, Component, input } from '@angular/core';

import { Icon } from '../icon/icon';

import { Grant } from './grant';

/** One grant: the permission, and whether it allows or denies. */
@Component({
  selector: 'nb-grant',
  imports: [Icon],
  changeDetection: ChangeDetectionStrategy.OnPush,
  host: { '[class.tone-bad]': "grant().effect === 'deny'" },
  template: `
    @if (grant().effect === 'deny') {
      <nb-icon [name]="grant().hard ? 'lock' : 'close'" [size]="12" />
      <span class="visually-hidden">
        @if (grant().hard) {
          <ng-container i18n>denies, whatever else allows it:</ng-container>
        } @else {
          <ng-container i18n>denies:</ng-container>
        }
      </span>
    }
    <span class="mono">{{ grant().permission }}</span>
  `,
  styles: `
    :host {
      display: inline-flex;
      align-items: center;
      gap: var(--s1);
      padding: 0.05rem var(--s2);
      border-radius: var(--radius-s);
      background: var(--tone-wash, var(--surface-sunken));
      color: var(--tone, var(--ink));
      font-size: var(--text-s);
      font-weight: 400;
      white-space: nowrap;
    }
  `,
})
export class GrantChip {
  readonly grant = input.required<Grant>();
}
