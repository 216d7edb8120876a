import { ChangeDetectionStrategy, Component, inject, signal } from '@angular/core';
import { RouterLink } from '@angular/router';

import { Api } from '@core/api/api';
import { action } from '@core/feedback/action';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Icon } from '@core/icon/icon';
import { CopyId } from '@core/page/copy-id';

import { Verification } from './record';

/** Recomputes the whole chain on the server and says what came of it. */
@Component({
  selector: 'nb-verify',
  imports: [CopyId, Icon, ProblemNotice, RouterLink],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <div class="notice" [class]="tone()">
      <nb-icon [name]="result() ? (result()!.ok ? 'success' : 'error') : 'approval'" />
      <div class="text" aria-live="polite">
        @if (result(); as it) {
          @if (it.ok) {
            <p i18n>
              <strong>The chain is whole.</strong> {{ it.checked }} records, {{ it.first }} to {{ it.last }}, checked in
              {{ it.duration_ms }} ms.
            </p>
          } @else {
            <p i18n>
              <strong>The chain is broken</strong> at {{ it.breaks.length }} of {{ it.checked }} records. Keep the machine as
              it is, take a copy of the data directory, and compare with the last checkpoint off this machine.
            </p>
            <ul>
              @for (fault of it.breaks; track $index) {
                <li>
                  <a [routerLink]="['/audit', fault.sequence]" i18n>Record {{ fault.sequence }}</a>
                  <code>{{ fault.kind }}</code> {{ fault.detail }}
                </li>
              }
            </ul>
          }
          @if (it.head) {
            <p class="small-text head"><ng-container i18n>Head</ng-container>&ngsp;<nb-id [value]="it.head" /></p>
          }
        } @else {
          <p i18n>Verifying recomputes the hash of every record and names each one that was changed, removed or moved.</p>
        }
        <nb-problem [problem]="verifying.problem()" />
      </div>
      <button type="button" class="button small" [disabled]="verifying.busy()" (click)="verify()">
        @if (verifying.busy()) {
          <ng-container i18n>Verifying …</ng-container>
        } @else {
          <ng-container i18n>Verify the chain</ng-container>
        }
      </button>
    </div>
  `,
  styles: `
    .notice {
      flex-wrap: wrap;
    }
    .text {
      display: grid;
      flex: 1 1 18rem;
      gap: var(--s1);
      min-width: 0;
    }
    .head {
      display: flex;
      align-items: center;
      gap: var(--s2);
    }
    .notice:not([class*='tone-']) {
      background: var(--surface);
      border-color: var(--line);
    }
  `,
})
export class Verify {
  private readonly api = inject(Api);
  protected readonly verifying = action();
  protected readonly result = signal<Verification | null>(null);

  protected tone(): string {
    const result = this.result();
    return result ? (result.ok ? 'tone-good' : 'tone-bad') : '';
  }

  protected async verify(): Promise<void> {
    await this.verifying.run(async () =>
      this.result.set(await this.api.post<Verification>('/audit/verify')),
    );
  }
}
