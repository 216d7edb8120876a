import { ChangeDetectionStrategy, Component, inject, input, output } from '@angular/core';

import { Problem } from '../api/problem';
import { Dialogs } from '../dialog/dialogs';
import { Said } from '../format/said';
import { Icon } from '../icon/icon';

/** Shows a Problem where it happened, with its request number and, if wanted, a retry; a refusal can be explained. */
@Component({
  selector: 'nb-problem',
  imports: [Icon, Said],
  changeDetection: ChangeDetectionStrategy.OnPush,
  host: { role: 'alert' },
  template: `
    @if (problem(); as it) {
      <div class="notice tone-bad">
        <nb-icon name="error" />
        <div class="text">
          <p><nb-said [text]="it.message" /></p>
          @for (field of it.fields; track field.location) {
            <p class="small-text">
              <code>{{ field.location }}</code> {{ field.message }}
            </p>
          }
          @if (it.retryAfter; as seconds) {
            <p class="small-text soft" i18n>Try again in {{ seconds }} seconds.</p>
          }
          @if (it.requestId; as id) {
            <p class="small-text soft" i18n>Request <code>{{ id }}</code></p>
          }
        </div>
        @if (problem()?.permission; as permission) {
          <button type="button" class="button small" (click)="dialogs.why(permission)" i18n>Why?</button>
        }
        @if (retryable()) {
          <button type="button" class="button small" (click)="retry.emit()" i18n>Try again</button>
        }
      </div>
    }
  `,
  styles: `
    :host {
      display: block;
    }
    :host(:empty) {
      display: none;
    }
    .text {
      flex: 1;
      min-width: 0;
      overflow-wrap: anywhere;
    }
  `,
})
export class ProblemNotice {
  protected readonly dialogs = inject(Dialogs);
  readonly problem = input.required<Problem | null>();
  readonly retryable = input(false);
  readonly retry = output();
}
