import { ChangeDetectionStrategy, Component, computed, input } from '@angular/core';

import { quoted } from './quoted';

/** What the appliance says, with its commands set as such. */
@Component({
  selector: 'nb-said',
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `@for (part of parts(); track $index) {@if (part.code) {<code>{{ part.text }}</code>} @else {{{ part.text }}}}`,
})
export class Said {
  readonly text = input.required<string>();
  protected readonly parts = computed(() => quoted(this.text()));
}
