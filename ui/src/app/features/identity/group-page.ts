import { CdkMenu, CdkMenuItem, CdkMenuTrigger } from '@angular/cdk/menu';
import { ChangeDetectionStrategy, Component, computed, effect, inject, input, signal, untracked } from '@angular/core';
import { Router, RouterLink } from '@angular/router';

import { Api, Page } from '@core/api/api';
import { remote } from '@core/api/remote';
import { Dialogs } from '@core/dialog/dialogs';
import { action } from '@core/feedback/action';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Icon } from '@core/icon/icon';
import { IconName } from '@core/icon/icons';
import { ListFrame } from '@core/list/list-frame';
import { wholeList } from '@core/list/whole-list';
import { Badge } from '@core/page/badge';
import { EmptyState } from '@core/page/empty-state';
import { PageHeader } from '@core/page/page-header';
import { Session } from '@core/session/session';

import { AddMember } from './add-member';
import { EditNamed, NamedDraft } from './edit-named';
import { Group, Member, MemberKind, MemberRow, memberRows } from './group';
import { SubjectRoles } from './subject-roles';
import { sourceWord } from './user';

/** One group: who is in it, also by way of other groups. */
@Component({
  selector: 'nb-group-page',
  imports: [
    Badge,
    CdkMenu,
    CdkMenuItem,
    CdkMenuTrigger,
    EmptyState,
    Icon,
    ListFrame,
    PageHeader,
    ProblemNotice,
    RouterLink,
  ],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './group-page.html',
  styleUrl: './group-page.scss',
})
export class GroupPage {
  private readonly api = inject(Api);
  private readonly dialogs = inject(Dialogs);
  private readonly router = inject(Router);
  protected readonly session = inject(Session);
  protected readonly back = { link: '/users/groups', label: $localize`Groups` };

  readonly id = input.required<string>();

  protected readonly group = remote<Group>(() => `/groups/${this.id()}`);
  protected readonly members = wholeList<Member>(() => `/groups/${this.id()}/members`);
  private readonly known = signal<ReadonlyMap<string, readonly Member[]>>(new Map());
  private readonly opened = signal<ReadonlySet<string>>(new Set());
  protected readonly rows = computed(() => memberRows(this.members.items(), this.known(), this.opened()));
  protected readonly changing = action('toast');
  protected readonly source = sourceWord;
  /** Groups of an identity provider are changed there. */
  protected readonly mayEdit = computed(
    () => this.session.can('identity:group:update') && this.group.value()?.source === 'local',
  );

  constructor() {
    effect(() => {
      this.id();
      untracked(() => {
        this.known.set(new Map());
        this.opened.set(new Set());
      });
    });
  }

  protected icon(kind: MemberKind): IconName {
    return kind === 'user' ? 'user' : kind === 'group' ? 'group' : 'robot';
  }

  protected kindWord(kind: MemberKind): string {
    const words: Readonly<Record<MemberKind, string>> = {
      user: $localize`person`,
      group: $localize`group`,
      service_account: $localize`service account`,
    };
    return words[kind];
  }

  protected openLabel(member: Member): string {
    return $localize`Members of ${member.name}`;
  }

  protected async flip(row: MemberRow): Promise<void> {
    this.opened.update((old) => {
      const next = new Set(old);
      if (!next.delete(row.key)) next.add(row.key);
      return next;
    });
    if (!this.known().has(row.member.id)) await this.changing.run(() => this.read(row.member.id));
  }

  protected async add(group: Group): Promise<void> {
    await this.dialogs.open(AddMember, { group, members: this.members.items() });
    await this.reload();
  }

  protected async remove(group: Group, member: Member): Promise<void> {
    const sure = await this.dialogs.confirm({
      heading: $localize`Take ${member.name} out of ${group.name}?`,
      text: $localize`What the roles of this group allow is lost at once, unless another way gives it.`,
      verb: $localize`Take out`,
      danger: true,
    });
    const path = `/groups/${group.id}/members/${member.kind}/${member.id}`;
    if (sure && (await this.changing.run(() => this.api.delete(path)))) await this.reload();
  }

  protected async edit(group: Group): Promise<void> {
    const draft: NamedDraft = {
      heading: $localize`Edit ${group.name}`,
      verb: $localize`Save`,
      path: '/groups',
      id: group.id,
      name: group.name,
      description: group.description,
    };
    if (await this.dialogs.open(EditNamed, draft)) await this.group.reload();
  }

  protected async roles(group: Group): Promise<void> {
    await this.dialogs.open(SubjectRoles, { kind: 'group', id: group.id, name: group.name });
  }

  protected async delete(group: Group): Promise<void> {
    const sure = await this.dialogs.confirm({
      heading: $localize`Delete the group ${group.name}?`,
      text: $localize`Its members stay, but lose at once what they were allowed by way of this group.`,
      verb: $localize`Delete group`,
      danger: true,
    });
    if (!sure || !(await this.changing.run(() => this.api.delete(`/groups/${group.id}`)))) return;
    await this.router.navigateByUrl('/users/groups');
  }

  private async reload(): Promise<void> {
    await Promise.all([this.members.reload(), this.group.reload()]);
  }

  private async read(group: string): Promise<void> {
    const page = await this.api.get<Page<Member>>(`/groups/${group}/members`);
    this.known.update((old) => new Map(old).set(group, page.items));
  }
}
