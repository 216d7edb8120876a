import { DIALOG_DATA, DialogRef } from '@angular/cdk/dialog';
import { ChangeDetectionStrategy, Component, computed, inject, signal } from '@angular/core';

import { Api, Page } from '@core/api/api';
import { remote } from '@core/api/remote';
import { DialogFrame } from '@core/dialog/dialog-frame';
import { action } from '@core/feedback/action';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Icon } from '@core/icon/icon';
import { SearchBox } from '@core/list/search-box';

import { Group, Member, MemberKind } from './group';

type Candidate = Omit<Member, 'kind'>;

/** Puts people, groups and service accounts into a group, one by one; each counts at once. */
@Component({
  selector: 'nb-add-member',
  imports: [DialogFrame, Icon, ProblemNotice, SearchBox],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './add-member.html',
  styleUrl: './add-member.scss',
})
export class AddMember {
  private readonly api = inject(Api);
  private readonly data = inject<{ group: Group; members: readonly Member[] }>(DIALOG_DATA);
  protected readonly ref = inject<DialogRef<void>>(DialogRef);
  protected readonly heading = $localize`Add to ${this.data.group.name}`;

  protected readonly kind = signal<MemberKind>('user');
  protected readonly query = signal('');
  protected readonly inside = signal<ReadonlySet<string>>(
    new Set(this.data.members.map((member) => `${member.kind}/${member.id}`)),
  );
  protected readonly adding = action();
  protected readonly kinds: readonly { kind: MemberKind; label: string }[] = [
    { kind: 'user', label: $localize`People` },
    { kind: 'group', label: $localize`Groups` },
    { kind: 'service_account', label: $localize`Service accounts` },
  ];

  protected readonly found = remote<Page<Candidate>>(() => {
    const paths = { user: '/users', group: '/groups', service_account: '/service-accounts' } as const;
    return { path: paths[this.kind()], query: { q: this.query(), limit: 100 } };
  });
  /** The server may not search for every kind, so what it tells is narrowed here too. */
  protected readonly candidates = computed(() => {
    const query = this.query().toLowerCase();
    return (this.found.value()?.items ?? []).filter(
      (one) => one.id !== this.data.group.id && [one.name, one.email ?? ''].some((text) => text.toLowerCase().includes(query)),
    );
  });

  protected choose(kind: MemberKind): void {
    this.kind.set(kind);
    this.adding.clear();
  }

  protected isInside(one: Candidate): boolean {
    return this.inside().has(`${this.kind()}/${one.id}`);
  }

  protected async add(one: Candidate): Promise<void> {
    const place = `${this.kind()}/${one.id}`;
    const done = await this.adding.run(() => this.api.put(`/groups/${this.data.group.id}/members/${place}`, {}));
    if (done) this.inside.update((old) => new Set(old).add(place));
  }
}
