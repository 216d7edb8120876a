import { CdkMenu, CdkMenuItem, CdkMenuTrigger } from '@angular/cdk/menu';
import { ChangeDetectionStrategy, Component, computed, inject, input, signal } from '@angular/core';
import { Router } from '@angular/router';

import { Api } from '@core/api/api';
import { Dialogs } from '@core/dialog/dialogs';
import { action } from '@core/feedback/action';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Toasts } from '@core/feedback/toasts';
import { Icon } from '@core/icon/icon';
import { everyPage } from '@core/list/every-page';
import { ListFrame } from '@core/list/list-frame';
import { wholeList } from '@core/list/whole-list';
import { Badge } from '@core/page/badge';
import { CopyId } from '@core/page/copy-id';
import { EmptyState } from '@core/page/empty-state';
import { PageHeader } from '@core/page/page-header';
import { Session } from '@core/session/session';
import { Time } from '@core/time/time';

import { CreateServiceToken } from './create-service-token';
import { EditNamed, NamedDraft } from './edit-named';
import { ServiceAccount, ServiceToken } from './service-account';
import { SubjectRoles } from './subject-roles';

/** One service account with its tokens. */
@Component({
  selector: 'nb-service-account-page',
  imports: [
    Badge,
    CdkMenu,
    CdkMenuItem,
    CdkMenuTrigger,
    CopyId,
    EmptyState,
    Icon,
    ListFrame,
    PageHeader,
    ProblemNotice,
    Time,
  ],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './service-account-page.html',
  styleUrl: './people.scss',
})
export class ServiceAccountPage {
  private readonly api = inject(Api);
  private readonly dialogs = inject(Dialogs);
  private readonly router = inject(Router);
  private readonly toasts = inject(Toasts);
  protected readonly session = inject(Session);
  protected readonly back = { link: '/users/service-accounts', label: $localize`Service accounts` };

  readonly id = input.required<string>();

  protected readonly reading = action();
  private readonly accounts = signal<readonly ServiceAccount[] | null>(null);
  protected readonly account = computed(() => this.accounts()?.find((one) => one.id === this.id()) ?? null);
  protected readonly missing = computed(() => this.accounts() !== null && !this.account());
  protected readonly tokens = wholeList<ServiceToken>(() => `/service-accounts/${this.id()}/tokens`);
  protected readonly changing = action('toast');

  constructor() {
    void this.reload();
  }

  /** Reads the accounts; the server has no address for a single one. */
  protected async reload(): Promise<void> {
    await this.reading.run(async () =>
      this.accounts.set(await everyPage<ServiceAccount>(this.api, '/service-accounts')),
    );
  }

  protected async createToken(account: ServiceAccount): Promise<void> {
    await this.dialogs.open(CreateServiceToken, account);
    await this.tokens.reload();
  }

  protected async revoke(token: ServiceToken): Promise<void> {
    const sure = await this.dialogs.confirm({
      heading: $localize`Revoke ${token.name}?`,
      text: $localize`Whatever uses this token is refused from the next request on. It cannot be brought back; make a new one instead.`,
      verb: $localize`Revoke token`,
      danger: true,
    });
    const path = `/service-accounts/${this.id()}/tokens/${token.id}`;
    if (sure && (await this.changing.run(() => this.api.delete(path)))) await this.tokens.reload();
  }

  protected async roles({ id, name }: ServiceAccount): Promise<void> {
    await this.dialogs.open(SubjectRoles, { kind: 'service_account', id, name });
  }

  protected async edit(account: ServiceAccount): Promise<void> {
    const draft: NamedDraft = {
      heading: $localize`Edit ${account.name}`,
      verb: $localize`Save`,
      path: '/service-accounts',
      id: account.id,
      name: account.name,
      description: account.description,
    };
    if (await this.dialogs.open(EditNamed, draft)) await this.reload();
  }

  protected async setStatus(account: ServiceAccount, status: ServiceAccount['status']): Promise<void> {
    if (status === 'disabled' && !(await this.sureToDisable(account))) return;
    const path = `/service-accounts/${account.id}`;
    if (await this.changing.run(() => this.api.patch(path, { status }))) await this.reload();
  }

  protected async delete(account: ServiceAccount): Promise<void> {
    const sure = await this.dialogs.confirm({
      heading: $localize`Delete ${account.name}?`,
      text: $localize`All of its tokens stop working at once, and its roles are lost. The audit record keeps the name.`,
      verb: $localize`Delete account`,
      danger: true,
    });
    if (!sure || !(await this.changing.run(() => this.api.delete(`/service-accounts/${account.id}`)))) return;
    this.toasts.done($localize`${account.name} is deleted.`);
    await this.router.navigateByUrl('/users/service-accounts');
  }

  private sureToDisable(account: ServiceAccount): Promise<boolean> {
    return this.dialogs.confirm({
      heading: $localize`Disable ${account.name}?`,
      text: $localize`Its tokens are refused from the next request on. Enabling it again makes them work again.`,
      verb: $localize`Disable account`,
      danger: true,
    });
  }
}
