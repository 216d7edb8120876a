import { ChangeDetectionStrategy, Component, computed, input } from '@angular/core';

import { remote } from '@core/api/remote';
import { rereadWhile } from '@core/api/reread';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Badge } from '@core/page/badge';
import { CopyId } from '@core/page/copy-id';
import { PageHeader } from '@core/page/page-header';
import { duration } from '@core/time/format';
import { Time } from '@core/time/time';

import { WorkflowDetail, statusTone, statusWord } from './workflow';

/** One workflow: how it stands, and what it waits for. */
@Component({
  selector: 'nb-workflow-page',
  imports: [Badge, CopyId, PageHeader, ProblemNotice, Time],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <nb-page-header [heading]="told.value()?.type ?? heading" [back]="back">
      @if (told.value(); as it) {
        <nb-badge beside [tone]="tone(it.status)">{{ word(it.status) }}</nb-badge>
      }
    </nb-page-header>
    <nb-problem [problem]="told.problem()" [retryable]="true" (retry)="told.reload()" />
    @if (told.value(); as it) {
      <div class="stack">
        @if (it.failure) {
          <div class="notice tone-bad"><p><strong i18n>It ended with:</strong>&ngsp;<span class="mono">{{ it.failure }}</span></p></div>
        }
        <section class="card" i18n-aria-label aria-label="The workflow">
          <dl class="body facts">
            <div><dt i18n>Identifier</dt><dd><nb-id [value]="it.id" [full]="true" /></dd></div>
            <div><dt i18n>Run</dt><dd><nb-id [value]="it.run_id" [full]="true" /></dd></div>
            <div><dt i18n>Begun</dt><dd><nb-time [at]="it.started_at" /></dd></div>
            <div>
              <dt i18n>Ended</dt>
              <dd><nb-time [at]="it.closed_at" i18n-none none="not yet" />@if (took()) {&ngsp;<span class="soft">({{ took() }})</span>}</dd>
            </div>
            <div><dt i18n>Steps so far</dt><dd>{{ it.history_length }}</dd></div>
          </dl>
        </section>
        <section class="card" aria-labelledby="pending">
          <header><h2 id="pending" i18n>What it waits for</h2></header>
          @if (it.pending_activities?.length) {
            <div class="scroll" tabindex="0" role="group" aria-labelledby="pending">
              <table class="table">
                <thead>
                  <tr>
                    <th scope="col" i18n>Step</th>
                    <th scope="col" i18n>State</th>
                    <th scope="col" class="num" i18n>Try</th>
                    <th scope="col" i18n>Next try</th>
                    <th scope="col" i18n>Last failure</th>
                  </tr>
                </thead>
                <tbody>
                  @for (one of it.pending_activities; track $index) {
                    <tr>
                      <th scope="row" class="nowrap">{{ one.type }}</th>
                      <td>{{ one.state }}</td>
                      <td class="num">{{ one.attempt }}</td>
                      <td><nb-time [at]="one.next_at" [relative]="true" /></td>
                      <td>{{ one.last_failure || '–' }}</td>
                    </tr>
                  }
                </tbody>
              </table>
            </div>
          } @else if (it.status === 'running') {
            <p class="body soft" i18n>No step: it waits for a decision, for a time to come, or for the worker to take it on.</p>
          } @else {
            <p class="body soft" i18n>Nothing: it has ended.</p>
          }
        </section>
        <p class="small-text soft" i18n>What a workflow works with is encrypted and not shown. What it changed stands in the audit trail.</p>
      </div>
    } @else if (told.loading()) {
      <p class="soft" role="status" i18n>Loading …</p>
    }
  `,
})
export class WorkflowPage {
  /** Identifier of the workflow, from the address. */
  readonly id = input.required<string>();

  protected readonly told = remote<WorkflowDetail>(() => `/system/workflows/${encodeURIComponent(this.id())}`);
  protected readonly took = computed(() => {
    const it = this.told.value();
    return it?.closed_at ? duration((Date.parse(it.closed_at) - Date.parse(it.started_at)) / 1000) : '';
  });
  protected readonly heading = $localize`Workflow`;
  protected readonly back = { link: '/workflows', label: $localize`Workflows` };
  protected readonly word = statusWord;
  protected readonly tone = statusTone;

  constructor() {
    rereadWhile(() => this.told.value()?.status === 'running', () => this.told.reload());
  }
}
