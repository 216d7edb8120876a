import { ChangeDetectionStrategy, Component, inject, linkedSignal } from '@angular/core';

import { Api } from '@core/api/api';
import { remote } from '@core/api/remote';
import { action } from '@core/feedback/action';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Toasts } from '@core/feedback/toasts';
import { Field, FieldInput } from '@core/form/field';
import { Session } from '@core/session/session';

interface Ranges {
  ranges: string[];
}

/** Which private addresses the providers of all tenants may have: the provider level's to decide. */
@Component({
  selector: 'nb-private-ranges',
  imports: [Field, FieldInput, ProblemNotice],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <section class="card" aria-labelledby="ranges">
      <header><h2 id="ranges" i18n>Private addresses</h2></header>
      <form class="body stack" (submit)="$event.preventDefault(); save()" novalidate>
        <p class="soft" i18n>
          Providers are reached at public addresses only, so that no tenant looks into your network. Name here those of your own network that all tenants may use.
        </p>
        <nb-problem [problem]="ranges.problem() ?? saving.problem()" />
        <nb-field i18n-label label="Ranges" [optional]="true" i18n-hint hint="One on each line, such as 192.168.1.10/32.">
          <textarea nbInput rows="3" class="mono" spellcheck="false" [readonly]="!mayChange" [value]="text()" (input)="text.set(area.value)" #area></textarea>
        </nb-field>
        @if (mayChange) {
          <div class="row end">
            <button class="button primary" [disabled]="saving.busy() || ranges.loading()" i18n>Save the ranges</button>
          </div>
        }
      </form>
    </section>
  `,
  styles: `
    :host {
      display: block;
      margin-top: var(--s5);
      max-width: 46rem;
    }
  `,
})
export class PrivateRanges {
  private readonly api = inject(Api);
  private readonly toasts = inject(Toasts);
  protected readonly ranges = remote<Ranges>(() => '/system/outbound');
  protected readonly text = linkedSignal(() => (this.ranges.value()?.ranges ?? []).join('\n'));
  protected readonly saving = action();
  protected readonly mayChange = inject(Session).can('system:settings:update');

  protected async save(): Promise<void> {
    const ranges = this.text().split(/[\s,]+/).filter((one) => one !== '');
    await this.saving.run(async () => {
      this.ranges.set(await this.api.put<Ranges>('/system/outbound', { ranges }));
      this.toasts.done($localize`Saved.`);
    });
  }
}
