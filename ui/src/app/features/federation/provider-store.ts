import { Injectable, inject, signal } from '@angular/core';

import { Api } from '@core/api/api';
import { remote } from '@core/api/remote';
import { action } from '@core/feedback/action';
import { Toasts } from '@core/feedback/toasts';

import { Provider } from './provider';

/** The provider of a page: read once, changed by its parts. */
@Injectable()
export class ProviderStore {
  private readonly api = inject(Api);
  private readonly toasts = inject(Toasts);
  readonly id = signal<string | null>(null);
  readonly provider = remote<Provider>(() => (this.id() ? `/identity-providers/${this.id()}` : null));
  readonly changing = action('toast');

  /** Sends a change and takes over the answer; for the parts that show failures themselves. */
  async change(change: object): Promise<void> {
    this.provider.set(await this.api.patch<Provider>(`/identity-providers/${this.id()}`, change));
    this.toasts.done($localize`Saved.`);
  }
}
