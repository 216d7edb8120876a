import { ChangeDetectionStrategy, Component, computed, inject, input } from '@angular/core';
import { Router, RouterLink } from '@angular/router';

import { Api } from '@core/api/api';
import { remote } from '@core/api/remote';
import { Dialogs } from '@core/dialog/dialogs';
import { action } from '@core/feedback/action';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Toasts } from '@core/feedback/toasts';
import { Icon } from '@core/icon/icon';
import { ListFrame } from '@core/list/list-frame';
import { wholeList } from '@core/list/whole-list';
import { Badge } from '@core/page/badge';
import { EmptyState } from '@core/page/empty-state';
import { PageHeader } from '@core/page/page-header';
import { GrantChip } from '@core/permission/grant-chip';
import { GrantLimits } from '@core/permission/grant-limits';
import { Session } from '@core/session/session';
import { Clock } from '@core/time/clock';

import { AssignRole } from './assign-role';
import { Assignment, Role, holderLink, holderName, inheritedGrants, kindWord } from './role';
import { roleRemoval } from './role-removal';
import { Vocabulary } from './vocabulary';

/** One role: what it says, and who holds it where and until when. */
@Component({
  selector: 'nb-role-page',
  imports: [Badge, EmptyState, GrantChip, GrantLimits, Icon, ListFrame, PageHeader, ProblemNotice, RouterLink],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './role-page.html',
  styleUrl: './role-page.scss',
})
export class RolePage {
  private readonly api = inject(Api);
  private readonly dialogs = inject(Dialogs);
  private readonly toasts = inject(Toasts);
  private readonly router = inject(Router);
  private readonly clock = inject(Clock);
  private readonly removal = roleRemoval();
  protected readonly session = inject(Session);
  protected readonly vocabulary = inject(Vocabulary);

  /** Identifier of the role, from the address. */
  readonly id = input.required<string>();

  protected readonly role = remote<Role>(() => `/roles/${this.id()}`);
  protected readonly holders = wholeList<Assignment>(() => ({ path: '/assignments', query: { role_id: this.id() } }));
  protected readonly inherited = computed(() =>
    inheritedGrants(this.role.value()?.inherits ?? [], this.vocabulary.roles.items()),
  );
  protected readonly parents = computed(() =>
    this.vocabulary.roles.items().filter((one) => this.role.value()?.inherits?.includes(one.id)),
  );
  protected readonly changing = action('toast');
  protected readonly kind = kindWord;
  protected readonly link = holderLink;
  protected readonly who = holderName;
  protected readonly back = { link: '/roles', label: $localize`Roles` };

  /** Whether a time-bound assignment counts now. */
  protected state(one: Assignment): 'now' | 'later' | 'over' {
    const now = this.clock.now();
    if (one.not_before && Date.parse(one.not_before) > now) return 'later';
    return one.expires_at && Date.parse(one.expires_at) <= now ? 'over' : 'now';
  }

  protected async assign(role: Role): Promise<void> {
    const data = { role, vocabulary: this.vocabulary };
    const made = await this.dialogs.open<string>(AssignRole, data);
    if (!made) return;
    this.toasts.done($localize`${made} holds the role ${role.name} now.`);
    await this.holders.reload();
  }

  protected async take(one: Assignment): Promise<void> {
    const sure = await this.dialogs.confirm({
      heading: $localize`Take the role from ${holderName(one)}?`,
      text: $localize`What it allows ends at once, also in windows that are open.`,
      verb: $localize`Take the role`,
      danger: true,
    });
    if (!sure || !(await this.changing.run(() => this.api.delete(`/assignments/${one.id}`)))) return;
    await this.holders.reload();
  }

  protected async remove(role: Role): Promise<void> {
    if (await this.removal.remove(role)) await this.router.navigateByUrl('/roles');
  }
}
