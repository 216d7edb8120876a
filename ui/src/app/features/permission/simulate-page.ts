import { ChangeDetectionStrategy, Component, computed, inject, input, linkedSignal, signal } from '@angular/core';

import { Api } from '@core/api/api';
import { Dialogs } from '@core/dialog/dialogs';
import { action } from '@core/feedback/action';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Field, FieldInput } from '@core/form/field';
import { Icon } from '@core/icon/icon';
import { Badge } from '@core/page/badge';
import { PageHeader } from '@core/page/page-header';
import { DecisionView } from '@core/permission/decision-view';
import { Grant, questionPattern } from '@core/permission/grant';

import { AnsweredGrant, GrantDialog, GrantQuestion } from './grant-dialog';
import { PermissionField } from './permission-field';
import { PermissionTabs } from './permission-tabs';
import { SimulatedChange, SimulatedResult, isEmptyChange } from './simulation';
import { NamedSubject, SubjectPicker } from './subject-picker';
import { Vocabulary } from './vocabulary';

/** One thing that would be different, for the person it is about. */
type WhatIf =
  | { kind: 'assign' | 'unassign'; role_id: string; text: string }
  | { kind: 'grants_add' | 'grants_remove'; grant: Grant; text: string };

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
  protected readonly whatIfs = signal<readonly WhatIf[]>([]);
  protected readonly role = signal('');
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

  protected giveRole(kind: 'assign' | 'unassign'): void {
    const role = this.vocabulary.roles.items().find((one) => one.id === this.role());
    if (!role) return;
    const text = kind === 'assign' ? $localize`has the role ${role.name}` : $localize`has not the role ${role.name}`;
    this.add({ kind, role_id: role.id, text });
    this.role.set('');
  }

  protected async giveGrant(kind: 'grants_add' | 'grants_remove'): Promise<void> {
    const heading = kind === 'grants_add' ? $localize`A grant more` : $localize`A direct grant less`;
    const question: GrantQuestion = { heading, verb: $localize`Try it`, vocabulary: this.vocabulary };
    const made = await this.dialogs.open<AnsweredGrant>(GrantDialog, question, { wide: true });
    if (!made) return;
    const { permission, effect } = made.grant;
    const word = effect === 'allow' ? $localize`allowance` : $localize`denial`;
    const text = kind === 'grants_add' ? $localize`has a direct ${word} of ${permission}` : $localize`has no direct ${word} of ${permission}`;
    this.add({ kind, grant: made.grant, text });
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
    const body = { change: this.change(), questions: this.questions() };
    await this.asking.run(async () =>
      this.results.set((await this.api.post<{ results: SimulatedResult[] }>('/permissions/simulate', body)).results),
    );
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
      if ('role_id' in one) change[one.kind].push({ ...this.who(), role_id: one.role_id });
      else change[one.kind].push({ ...this.who(), ...one.grant });
    }
    return change;
  }

  private questions(): object[] {
    const all = this.everything() ? this.vocabulary.known().map((one) => one.permission) : this.permissions();
    return all.map((permission) => ({ ...this.who(), permission }));
  }
}
