import { ChangeDetectionStrategy, Component, computed, input } from '@angular/core';

import { CopyId } from '../page/copy-id';

/** What a program gave out: names and values, each to be copied. Nothing when there is nothing. */
@Component({
  selector: 'nb-outputs',
  imports: [CopyId],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    @if (rows().length > 0) {
      <section class="card" aria-labelledby="outputs">
        <header><h2 id="outputs" i18n>Outputs</h2></header>
        <dl class="facts body">
          @for (row of rows(); track row.name) {
            <div>
              <dt class="mono">{{ row.name }}</dt>
              <dd><nb-id [value]="row.value" [full]="true" /></dd>
            </div>
          }
        </dl>
      </section>
    }
  `,
  styles: `
    :host(:empty) {
      display: none;
    }
    .facts > div {
      grid-template-columns: minmax(5.5rem, max-content) minmax(0, 1fr);
    }
  `,
})
export class Outputs {
  readonly outputs = input.required<Record<string, unknown> | null>();
  protected readonly rows = computed(() =>
    Object.entries(this.outputs() ?? {}).map(([name, value]) => ({
      name,
      value: typeof value === 'string' ? value : JSON.stringify(value),
    })),
  );
}
