import { ChangeDetectionStrategy, Component, computed, inject, input, linkedSignal, signal } from '@angular/core';

import { Api } from '@core/api/api';
import { Source } from '@core/api/remote';
import { Dialogs } from '@core/dialog/dialogs';
import { action } from '@core/feedback/action';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Field, FieldInput } from '@core/form/field';
import { Icon } from '@core/icon/icon';
import { wholeList } from '@core/list/whole-list';
import { Badge } from '@core/page/badge';
import { PageHeader } from '@core/page/page-header';
import { DecisionView } from '@core/permission/decision-view';
import { Grant, questionPattern } from '@core/permission/grant';

import { AnsweredGrant, GrantDialog, GrantQuestion } from './grant-dialog';
import { PermissionField } from './permission-field';
import { PermissionTabs } from './permission-tabs';
import { Assignment, DirectGrant } from './role';
import { SimulatedChange, SimulatedQuestion, SimulatedResult, isEmptyChange, simulate } from './simulation';
import { NamedSubject, SubjectPicker } from './subject-picker';
import { Vocabulary } from './vocabulary';

/** One thing that would be different, for the person it is about. */
type WhatIf = { text: string } & (
  | { kind: 'assign'; role_id: string }
  | { kind: 'grants_add'; grant: Grant }
  | { kind: 'unassign' | 'grants_remove'; id: string }
);

/** Something that the person has and that can be thought away. */
interface Taken {
  kind: 'unassign' | 'grants_remove';
  id: string;
  text: string;
}

/** Tries changes of rights before they are made. */
@Component({
  selector: 'nb-simulate-page',
  imports: [Badge, DecisionView, Field, FieldInput, Icon, PageHeader, PermissionField, PermissionTabs, ProblemNotice, SubjectPicker],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './simulate-page.html',
  styleUrl: './simulate-page.scss',
})
export class SimulatePage {
  private readonly api = inject(Api);
  private readonly dialogs = inject(Dialogs);
  protected readonly vocabulary = inject(Vocabulary);

  /** What to ask about, from the address. */
  readonly permission = input<string>();

  protected readonly subject = signal<NamedSubject | null>(null);
  private readonly assignments = wholeList<Assignment>(() => this.of('/assignments'));
  private readonly grants = wholeList<DirectGrant>(() => this.of('/grants'));
  /** What the person has and what can be thought away. */
  protected readonly held = computed((): Taken[] => {
    if (!this.subject()) return [];
    const gone = new Set(this.whatIfs().map((one) => ('id' in one ? one.id : '')));
    const role = (id: string) => this.vocabulary.roles.items().find((one) => one.id === id)?.name ?? id;
    const all: Taken[] = [
      ...this.assignments.items().map((one) => ({ kind: 'unassign' as const, id: one.id, text: $localize`role ${one.role_name ?? role(one.role_id)}` })),
      ...this.grants.items().map((one) => ({ kind: 'grants_remove' as const, id: one.id, text: $localize`direct grant ${one.permission}` })),
    ];
    return all.filter((one) => !gone.has(one.id));
  });
  protected readonly whatIfs = signal<readonly WhatIf[]>([]);
  protected readonly typed = signal('');
  protected readonly permissions = linkedSignal<readonly string[]>(() => [this.permission()].filter((one) => one !== undefined));
  protected readonly everything = linkedSignal(() => this.permission() === undefined);
  protected readonly onlyTurned = signal(true);
  protected readonly tried = signal(false);
  protected readonly results = signal<readonly SimulatedResult[] | null>(null);
  protected readonly open = signal<string | null>(null);
  protected readonly asking = action();
  protected readonly yes = $localize`allowed`;
  protected readonly no = $localize`not allowed`;
  protected readonly shown = computed(() =>
    (this.results() ?? []).filter((one) => !this.onlyTurned() || one.before.allowed !== one.after.allowed),
  );
  protected readonly missing = computed(() => {
    if (!this.subject()) return $localize`Choose whose rights are tried.`;
    if (isEmptyChange(this.change())) return $localize`Say what would be different.`;
    return this.questions().length ? '' : $localize`Name at least one permission, or ask for all of them.`;
  });

  protected giveRole(id: string): void {
    const role = this.vocabulary.roles.items().find((one) => one.id === id);
    if (role) this.add({ kind: 'assign', role_id: id, text: $localize`has the role ${role.name}` });
  }

  protected take(one: Taken): void {
    this.add({ kind: one.kind, id: one.id, text: $localize`has not: ${one.text}` });
  }

  protected async giveGrant(): Promise<void> {
    const question: GrantQuestion = { heading: $localize`A grant more`, verb: $localize`Try it`, vocabulary: this.vocabulary };
    const made = await this.dialogs.open<AnsweredGrant>(GrantDialog, question, { wide: true });
    if (!made) return;
    const { permission, effect } = made.grant;
    const text = effect === 'allow' ? $localize`may ${permission} by a direct grant` : $localize`is denied ${permission} by a direct grant`;
    this.add({ kind: 'grants_add', grant: made.grant, text });
  }

  protected drop(one: WhatIf): void {
    this.whatIfs.update((old) => old.filter((each) => each !== one));
  }

  protected addPermission(): void {
    const permission = this.typed();
    if (!questionPattern.test(permission)) return;
    this.permissions.update((old) => [...new Set([...old, permission])]);
    this.typed.set('');
    this.everything.set(false);
  }

  protected dropPermission(permission: string): void {
    this.permissions.update((old) => old.filter((one) => one !== permission));
  }

  protected toggle(permission: string): void {
    this.open.update((old) => (old === permission ? null : permission));
  }

  protected async ask(): Promise<void> {
    this.tried.set(true);
    if (this.missing()) return;
    this.open.set(null);
    await this.asking.run(async () => this.results.set(await simulate(this.api, this.change(), this.questions())));
  }

  /** Another person: what was thought of the last one does not fit. */
  protected choose(subject: NamedSubject | null): void {
    this.subject.set(subject);
    this.whatIfs.update((old) => old.filter((one) => !('id' in one)));
    this.results.set(null);
  }

  private of(path: string): Source {
    return this.subject() ? { path, query: this.who() } : null;
  }

  private add(one: WhatIf): void {
    this.whatIfs.update((old) => [...old, one]);
    this.results.set(null);
  }

  private who() {
    const { subject_kind = 'user', subject_id = '' } = this.subject() ?? {};
    return { subject_kind, subject_id } as const;
  }

  private change(): SimulatedChange {
    const change: Required<Omit<SimulatedChange, 'role'>> = { assign: [], unassign: [], grants_add: [], grants_remove: [] };
    for (const one of this.whatIfs()) {
      if (one.kind === 'assign') change.assign.push({ ...this.who(), role_id: one.role_id });
      else if (one.kind === 'grants_add') change.grants_add.push({ ...this.who(), ...one.grant });
      else change[one.kind].push(one.id);
    }
    return change;
  }

  private questions(): SimulatedQuestion[] {
    const all = this.everything() ? this.vocabulary.known().map((one) => one.permission) : this.permissions();
    return all.map((permission) => ({ ...this.who(), permission }));
  }
}
