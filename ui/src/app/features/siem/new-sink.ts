import { ChangeDetectionStrategy, Component, inject } from '@angular/core';
import { Router } from '@angular/router';

import { Api } from '@core/api/api';
import { Toasts } from '@core/feedback/toasts';
import { PageHeader } from '@core/page/page-header';

import { Sink } from './sink';
import { SinkForm } from './sink-form';

/** Makes a sink. */
@Component({
  selector: 'nb-new-sink',
  imports: [PageHeader, SinkForm],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <nb-page-header
      i18n-heading
      heading="New sink"
      i18n-lead
      lead="It gets what is recorded from now on. Older records can be sent afterwards."
      [back]="back"
    />
    <nb-sink-form i18n-verb verb="Create sink" [send]="send" />
  `,
  styles: `
    nb-sink-form {
      display: block;
      max-width: 48rem;
    }
  `,
})
export class NewSink {
  private readonly api = inject(Api);
  private readonly router = inject(Router);
  private readonly toasts = inject(Toasts);
  protected readonly back = { link: '/audit-settings/siem', label: $localize`SIEM` };

  protected readonly send = async (body: object): Promise<void> => {
    const made = await this.api.post<Sink>('/audit/sinks', body);
    this.toasts.done($localize`Created. Send a test event to see that it arrives.`);
    await this.router.navigate(['/audit-settings/siem', made.id]);
  };
}
