import { ChangeDetectionStrategy, Component, computed, inject, signal } from '@angular/core';

import { Api } from '@core/api/api';
import { Dialogs } from '@core/dialog/dialogs';
import { action } from '@core/feedback/action';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Toasts } from '@core/feedback/toasts';
import { Field, FieldInput } from '@core/form/field';
import { Icon } from '@core/icon/icon';
import { ListFrame } from '@core/list/list-frame';
import { wholeList } from '@core/list/whole-list';
import { Badge } from '@core/page/badge';
import { CopyBlock } from '@core/page/copy-block';
import { EmptyState } from '@core/page/empty-state';
import { Session } from '@core/session/session';
import { Time } from '@core/time/time';

import { Domain, domainProblem, plainDomain } from './domain';
import { TenantStore } from './tenant-store';

/** The e-mail domains whose people are led to this tenant when they sign in. */
@Component({
  selector: 'nb-tenant-domains',
  imports: [Badge, CopyBlock, EmptyState, Field, FieldInput, Icon, ListFrame, ProblemNotice, Time],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './domains.html',
  styleUrl: './domains.scss',
})
export class Domains {
  private readonly api = inject(Api);
  private readonly dialogs = inject(Dialogs);
  private readonly toasts = inject(Toasts);
  private readonly store = inject(TenantStore);
  protected readonly session = inject(Session);
  protected readonly list = wholeList<Domain>(() => (this.store.id() ? this.store.path('domains') : null));
  protected readonly entered = signal('');
  protected readonly tried = signal(false);
  protected readonly adding = action();
  protected readonly verifying = action('toast');
  protected readonly removing = action('toast');
  protected readonly wrong = computed(() =>
    domainProblem(this.entered(), this.list.items().map((one) => one.domain)),
  );
  protected readonly error = computed(() =>
    this.tried() ? (this.wrong() ?? this.adding.problem()?.field('domain')) : null,
  );

  protected async add(): Promise<void> {
    this.tried.set(true);
    if (this.wrong()) return;
    const domain = plainDomain(this.entered());
    if (!(await this.adding.run(() => this.api.post(this.store.path('domains'), { domain })))) return;
    this.entered.set('');
    this.tried.set(false);
    await this.list.reload();
    const added = this.list.items().find((one) => one.domain === domain);
    this.toasts.done(
      added?.verified
        ? $localize`People at ${domain} are led here now.`
        : $localize`${domain} is added. It counts when the DNS says that it is yours.`,
    );
  }

  /** Asks the DNS whether the record is there. */
  protected async verify(domain: string): Promise<void> {
    const path = this.store.path(`domains/${encodeURIComponent(domain)}/verify`);
    if (!(await this.verifying.run(() => this.api.post(path)))) return;
    this.toasts.done($localize`People at ${domain} are led here now.`);
    await this.list.reload();
  }

  protected async remove(domain: string): Promise<void> {
    const sure = await this.dialogs.confirm({
      heading: $localize`Remove ${domain}?`,
      text: $localize`People with an address there are no longer led to this tenant when they sign in. Their accounts stay.`,
      verb: $localize`Remove domain`,
      danger: true,
    });
    const path = this.store.path(`domains/${encodeURIComponent(domain)}`);
    if (sure && (await this.removing.run(() => this.api.delete(path)))) await this.list.reload();
  }
}
