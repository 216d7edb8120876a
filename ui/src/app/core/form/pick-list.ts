import { ChangeDetectionStrategy, Component, computed, input, model, signal } from '@angular/core';

/** Something that can be picked. */
export interface Pickable {
  id: string;
  name: string;
  description?: string;
}

/** Picks any number out of a list, with a search when the list is long. */
@Component({
  selector: 'nb-pick-list',
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <fieldset>
      <legend>{{ legend() }}</legend>
      @if (items().length > 8) {
        <input
          class="input"
          type="search"
          i18n-placeholder
          placeholder="Find"
          [attr.aria-label]="find()"
          [value]="query()"
          (input)="query.set(text.value)"
          #text
        />
      }
      <div class="list">
        @for (item of shown(); track item.id) {
          <label class="check">
            <input type="checkbox" [checked]="chosen().has(item.id)" (change)="toggle(item.id)" />
            <span>
              {{ item.name }}
              @if (item.description) {
                <br /><span class="small-text soft">{{ item.description }}</span>
              }
            </span>
          </label>
        } @empty {
          <p class="soft small-text">{{ none() }}</p>
        }
      </div>
    </fieldset>
  `,
  styles: `
    fieldset {
      display: grid;
      gap: var(--s2);
      min-width: 0;
      margin: 0;
      padding: 0;
      border: 0;
    }
    legend {
      margin-bottom: var(--s1);
      font-size: var(--text-s);
      font-weight: 550;
    }
    .list {
      display: grid;
      gap: var(--s2);
      max-height: 14rem;
      overflow: auto;
      padding: var(--s2) var(--s3);
      border: 1px solid var(--line);
      border-radius: var(--radius-s);
    }
  `,
})
export class PickList {
  readonly legend = input.required<string>();
  readonly items = input.required<readonly Pickable[]>();
  readonly chosen = model.required<ReadonlySet<string>>();
  /** What stands there when nothing can be picked. */
  readonly none = input($localize`Nothing to choose from.`);

  protected readonly query = signal('');
  protected readonly find = computed(() => $localize`Find in ${this.legend()}`);
  protected readonly shown = computed(() => {
    const query = this.query().trim().toLowerCase();
    return this.items().filter((item) => item.name.toLowerCase().includes(query));
  });

  protected toggle(id: string): void {
    const next = new Set(this.chosen());
    if (!next.delete(id)) next.add(id);
    this.chosen.set(next);
  }
}
