import { CdkMenu, CdkMenuItem, CdkMenuTrigger } from '@angular/cdk/menu';
import { ChangeDetectionStrategy, Component, computed, effect, inject, input } from '@angular/core';
import { Router } from '@angular/router';

import { Api } from '@core/api/api';
import { Dialogs } from '@core/dialog/dialogs';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Icon } from '@core/icon/icon';
import { Badge } from '@core/page/badge';
import { CopyBlock } from '@core/page/copy-block';
import { PageHeader } from '@core/page/page-header';
import { Session } from '@core/session/session';
import { Time } from '@core/time/time';

import { Provider, addressesOf, protocolWord } from './provider';
import { ProviderConnection } from './provider-connection';
import { ProviderMapping } from './provider-mapping';
import { ProviderPeople } from './provider-people';
import { ProviderStore } from './provider-store';

/** One sign-in provider: its state, the addresses to copy, its settings, who comes in with which rights. */
@Component({
  selector: 'nb-provider-page',
  imports: [
    Badge, CdkMenu, CdkMenuItem, CdkMenuTrigger, CopyBlock, Icon, PageHeader, ProblemNotice, ProviderConnection, ProviderMapping, ProviderPeople, Time,
  ],
  providers: [ProviderStore],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './provider-page.html',
  styleUrl: './provider-page.scss',
})
export class ProviderPage {
  private readonly api = inject(Api);
  private readonly dialogs = inject(Dialogs);
  private readonly router = inject(Router);
  protected readonly session = inject(Session);
  protected readonly store = inject(ProviderStore);

  /** Identifier of the provider, from the address. */
  readonly id = input.required<string>();
  /** Set when it was added just now. */
  readonly made = input<string>();

  protected readonly provider = this.store.provider;
  protected readonly addresses = computed(() => {
    const provider = this.provider.value();
    return provider ? addressesOf(provider) : [];
  });
  protected readonly protocol = protocolWord;
  protected readonly back = { link: '/identity-providers', label: $localize`Sign-in providers` };

  constructor() {
    effect(() => this.store.id.set(this.id()));
  }

  protected async test(): Promise<void> {
    const return_to = `/identity-providers/${this.id()}/test`;
    await this.store.changing.run(async () => {
      const { redirect } = await this.api.post<{ redirect: string }>(`/identity-providers/${this.id()}/test`, { return_to });
      location.assign(redirect);
    });
  }

  protected async enable(provider: Provider, enabled: boolean): Promise<void> {
    if (!enabled && !(await this.sureToSwitchOff(provider))) return;
    await this.store.changing.run(() => this.store.change({ enabled }));
  }

  protected async rotate(): Promise<void> {
    const sure = await this.dialogs.confirm({
      heading: $localize`Make a new key?`,
      text: $localize`Our metadata then carries a new certificate. A provider that reads it follows by itself; any other has to be given it by hand.`,
      verb: $localize`Make a new key`,
    });
    if (!sure) return;
    await this.store.changing.run(async () => {
      this.provider.set(await this.api.post<Provider>(`/identity-providers/${this.id()}/rotate-key`));
    });
  }

  protected async remove(provider: Provider): Promise<void> {
    const sure = await this.dialogs.confirm({
      heading: $localize`Delete ${provider.name}?`,
      text: $localize`Nobody can sign in with it any more, and what the accounts here know of it is forgotten. The accounts stay.`,
      verb: $localize`Delete provider`,
      danger: true,
      typed: provider.name,
    });
    if (!sure || !(await this.store.changing.run(() => this.api.delete(`/identity-providers/${this.id()}`)))) return;
    await this.router.navigateByUrl('/identity-providers');
  }

  private sureToSwitchOff(provider: Provider): Promise<boolean> {
    return this.dialogs.confirm({
      heading: $localize`Switch ${provider.name} off?`,
      text: $localize`Its button disappears from the sign-in page. People without a password cannot come in until it is on again.`,
      verb: $localize`Switch off`,
      danger: true,
    });
  }
}
