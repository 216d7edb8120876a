import { DIALOG_DATA, DialogRef } from '@angular/cdk/dialog';
import { ChangeDetectionStrategy, Component, inject, signal } from '@angular/core';
import { Router } from '@angular/router';

import { Api } from '../api/api';
import { DialogFrame } from '../dialog/dialog-frame';
import { action } from '../feedback/action';
import { ProblemNotice } from '../feedback/problem-notice';
import { Icon } from '../icon/icon';
import { Session } from '../session/session';
import { Decision } from './decision';
import { DecisionView } from './decision-view';

/** Why the person may not do what a request was refused for; opened by Dialogs.why. */
@Component({
  selector: 'nb-why',
  imports: [DecisionView, DialogFrame, Icon, ProblemNotice],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <nb-dialog-frame i18n-heading heading="Why this was refused">
      <p>
        <ng-container i18n>It needs the permission</ng-container>&ngsp;<code>{{ permission }}</code>.
        <span class="soft" i18n>This is how the grants of {{ session.user()?.name }} in {{ session.tenant()?.name }} answer it now:</span>
      </p>
      <nb-problem [problem]="asking.problem()" />
      <div aria-live="polite">
        @if (answer(); as decision) {
          <nb-decision [decision]="decision" />
          @if (decision.allowed) {
            <p class="soft after" i18n>
              The refusal was about one place or one thing, or it has been granted since. Try again.
            </p>
          } @else {
            <p class="soft after" i18n>An administrator of this tenant can grant it. Tell them the permission above.</p>
          }
        } @else if (asking.busy()) {
          <p class="soft" i18n>Asking …</p>
        }
      </div>
      <ng-container actions>
        <button type="button" class="button" (click)="open()">
          <nb-icon name="search" [size]="16" /><ng-container i18n>Ask further</ng-container>
        </button>
        <button type="button" class="button primary" (click)="ref.close()" i18n>Close</button>
      </ng-container>
    </nb-dialog-frame>
  `,
  styles: `
    .after {
      margin-top: var(--s3);
    }
  `,
})
export class WhyDialog {
  private readonly api = inject(Api);
  private readonly router = inject(Router);
  protected readonly ref = inject<DialogRef<void>>(DialogRef);
  protected readonly session = inject(Session);
  protected readonly permission = inject<string>(DIALOG_DATA);
  protected readonly answer = signal<Decision | null>(null);
  protected readonly asking = action();

  constructor() {
    const body = { permission: this.permission };
    void this.asking.run(async () => this.answer.set(await this.api.post<Decision>('/permissions/explain', body)));
  }

  protected open(): void {
    this.ref.close();
    void this.router.navigate(['/roles/explain'], { queryParams: { permission: this.permission } });
  }
}
