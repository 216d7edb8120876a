import { ChangeDetectionStrategy, Component, inject } from '@angular/core';

import { EventCatalogue } from './event-catalogue';

/** The id of the list that event inputs name in their `list` attribute. */
export const eventListId = 'nb-events';

/** Offers the events and their prefixes to every input of a page with `list="nb-events"`; place it once. */
@Component({
  selector: 'nb-event-list',
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <datalist [id]="id">
      @for (one of catalogue.choices(); track one.value) {
        <option [value]="one.value">{{ one.label }}</option>
      }
    </datalist>
  `,
  styles: `
    :host {
      display: none;
    }
  `,
})
export class EventList {
  protected readonly catalogue = inject(EventCatalogue);
  protected readonly id = eventListId;
}
