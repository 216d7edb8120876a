import { CdkMenu, CdkMenuItem, CdkMenuTrigger } from '@angular/cdk/menu';
import { ChangeDetectionStrategy, Component, inject, input, viewChild } from '@angular/core';
import { Router } from '@angular/router';

import { Api } from '@core/api/api';
import { remote } from '@core/api/remote';
import { Dialogs } from '@core/dialog/dialogs';
import { action } from '@core/feedback/action';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Toasts } from '@core/feedback/toasts';
import { Icon } from '@core/icon/icon';
import { Badge } from '@core/page/badge';
import { PageHeader } from '@core/page/page-header';
import { Session } from '@core/session/session';
import { Time } from '@core/time/time';

import { DeadLetters } from './dead-letters';
import { ReplayDialog } from './replay-dialog';
import { Sink, protocolOf, stateTone, stateWord, whereOf } from './sink';
import { SinkForm } from './sink-form';

/** One sink: how delivery goes, what was refused, and its settings. */
@Component({
  selector: 'nb-sink-page',
  imports: [Badge, CdkMenu, CdkMenuItem, CdkMenuTrigger, DeadLetters, Icon, PageHeader, ProblemNotice, SinkForm, Time],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './sink-page.html',
  styleUrl: './sink-page.scss',
})
export class SinkPage {
  private readonly api = inject(Api);
  private readonly dialogs = inject(Dialogs);
  private readonly router = inject(Router);
  private readonly toasts = inject(Toasts);
  protected readonly session = inject(Session);
  private readonly letters = viewChild(DeadLetters);

  /** Identifier of the sink, from the address. */
  readonly id = input.required<string>();

  protected readonly sink = remote<Sink>(() => `/audit/sinks/${this.id()}`);
  protected readonly testing = action();
  protected readonly changing = action('toast');
  protected readonly protocolOf = protocolOf;
  protected readonly stateTone = stateTone;
  protected readonly stateWord = stateWord;
  protected readonly whereOf = whereOf;
  protected readonly back = { link: '/audit-settings/siem', label: $localize`SIEM` };

  protected readonly save = async (body: object): Promise<void> => {
    this.sink.set(await this.api.patch<Sink>(`/audit/sinks/${this.id()}`, body));
    this.toasts.done($localize`Saved.`);
  };

  protected async test(): Promise<void> {
    if (!(await this.testing.run(() => this.api.post(`/audit/sinks/${this.id()}/test`)))) return;
    this.toasts.done($localize`A test event was sent. Look for it in the collector.`);
  }

  protected async enable(enabled: boolean): Promise<void> {
    await this.changing.run(async () => {
      this.sink.set(await this.api.patch<Sink>(`/audit/sinks/${this.id()}`, { enabled }));
      this.toasts.done(enabled ? $localize`It goes on where it stopped.` : $localize`Paused. Nothing is lost: it goes on where it stopped.`);
    });
  }

  protected async replay(sink: Sink): Promise<void> {
    if (!(await this.dialogs.open<boolean, Sink>(ReplayDialog, sink))) return;
    this.toasts.done($localize`They are sent once more.`);
    await this.sink.reload();
  }

  protected async remove(sink: Sink): Promise<void> {
    const sure = await this.dialogs.confirm({
      heading: $localize`Delete ${sink.name}?`,
      text: $localize`The collector gets nothing any more, and its dead letters are forgotten. The records stay in the audit trail.`,
      verb: $localize`Delete sink`,
      danger: true,
      typed: sink.name,
    });
    if (!sure || !(await this.changing.run(() => this.api.delete(`/audit/sinks/${this.id()}`)))) return;
    await this.router.navigateByUrl('/audit-settings/siem');
  }

  protected async again(): Promise<void> {
    await Promise.all([this.sink.reload(), this.letters()?.reload()]);
  }
}
