import { ChangeDetectionStrategy, Component, inject, input, output } from '@angular/core';
import { RouterLink } from '@angular/router';

import { Api } from '@core/api/api';
import { Dialogs } from '@core/dialog/dialogs';
import { action } from '@core/feedback/action';
import { Toasts } from '@core/feedback/toasts';
import { keysetList } from '@core/list/keyset-list';
import { ListFrame } from '@core/list/list-frame';
import { Badge } from '@core/page/badge';
import { EmptyState } from '@core/page/empty-state';
import { Session } from '@core/session/session';
import { Time } from '@core/time/time';

import { DeadLetter } from './sink';

/** What the collector refused and why, to be sent once more or given up. */
@Component({
  selector: 'nb-dead-letters',
  imports: [Badge, EmptyState, ListFrame, RouterLink, Time],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <nb-list-frame [list]="list" i18n-label label="Dead letters">
      <header above class="title">
        <h2 i18n>Dead letters</h2>
        @if (session.can('audit:sink:update') && list.items().length) {
          <button type="button" class="button small" [disabled]="working.busy()" (click)="replayAll()" i18n>Send all once more</button>
        }
      </header>
      <table class="table">
        <thead>
          <tr>
            <th scope="col" i18n>Record</th>
            <th scope="col" i18n>Why it was refused</th>
            <th scope="col" class="num" i18n>Tries</th>
            <th scope="col"><span class="visually-hidden" i18n>Actions</span></th>
          </tr>
        </thead>
        <tbody>
          @for (letter of list.items(); track letter.id) {
            <tr>
              <th scope="row" class="nowrap">
                <a class="mono" [routerLink]="['/audit', letter.first]">{{ letter.first }}</a>
                @if (letter.last !== letter.first) {
                  – <a class="mono" [routerLink]="['/audit', letter.last]">{{ letter.last }}</a>
                }
                <p class="small-text soft"><nb-time [at]="letter.created_at" [relative]="true" /></p>
              </th>
              <td class="why">{{ letter.reason }}</td>
              <td class="num">{{ letter.attempts }}</td>
              <td class="actions">
                @if (letter.due) {
                  <nb-badge tone="busy" i18n>on its way</nb-badge>
                } @else if (session.can('audit:sink:update')) {
                  <button type="button" class="button small" [disabled]="working.busy()" (click)="replay(letter)" i18n>
                    Send again<span class="visually-hidden"> {{ letter.first }}</span>
                  </button>
                  <button type="button" class="button small quiet" [disabled]="working.busy()" (click)="giveUp(letter)" i18n>
                    Give up<span class="visually-hidden"> {{ letter.first }}</span>
                  </button>
                }
              </td>
            </tr>
          }
        </tbody>
      </table>
      <nb-empty
        whenEmpty
        icon="success"
        i18n-heading
        heading="Nothing was refused"
        i18n-text
        text="A record that the collector does not take while it takes others would stand here with its reason."
      />
    </nb-list-frame>
  `,
  styles: `
    .title {
      display: flex;
      align-items: center;
      justify-content: space-between;
      gap: var(--s3);
      padding: var(--s3) var(--s4);
      border-bottom: 1px solid var(--line);
    }
    .why {
      min-width: 12rem;
      overflow-wrap: anywhere;
    }
  `,
})
export class DeadLetters {
  private readonly api = inject(Api);
  private readonly dialogs = inject(Dialogs);
  private readonly toasts = inject(Toasts);
  protected readonly session = inject(Session);

  /** Identifier of the sink. */
  readonly sink = input.required<string>();
  /** Something was sent again or given up. */
  readonly replayed = output();

  protected readonly list = keysetList<DeadLetter>(() => this.path());
  protected readonly working = action('toast');

  /** Reads the list again. */
  reload(): Promise<void> {
    return this.list.reload();
  }

  protected async replay(letter: DeadLetter): Promise<void> {
    await this.work(() => this.api.post(`${this.path()}/${letter.id}/replay`), $localize`It is sent once more.`);
  }

  protected async replayAll(): Promise<void> {
    await this.work(() => this.api.post(`${this.path()}/replay-all`), $localize`They are sent once more.`);
  }

  protected async giveUp(letter: DeadLetter): Promise<void> {
    const sure = await this.dialogs.confirm({
      heading: $localize`Give this record up?`,
      text: $localize`The collector will never get it. It stays in the audit trail.`,
      verb: $localize`Give up`,
      danger: true,
    });
    if (sure) await this.work(() => this.api.delete(`${this.path()}/${letter.id}`), $localize`Given up.`);
  }

  private path(): string {
    return `/audit/sinks/${this.sink()}/dead-letters`;
  }

  private async work(send: () => Promise<unknown>, text: string): Promise<void> {
    if (!(await this.working.run(send))) return;
    this.toasts.done(text);
    this.replayed.emit();
    await this.list.reload();
  }
}
