import { ChangeDetectionStrategy, Component, computed, effect, inject, input, signal, untracked } from '@angular/core';
import { FormControl, FormGroup, ReactiveFormsModule, Validators } from '@angular/forms';
import { Router, RouterLink } from '@angular/router';

import { Api } from '@core/api/api';
import { remote } from '@core/api/remote';
import { Dialogs } from '@core/dialog/dialogs';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Toasts } from '@core/feedback/toasts';
import { Field, FieldInput } from '@core/form/field';
import { PickList } from '@core/form/pick-list';
import { submit } from '@core/form/submit';
import { Icon } from '@core/icon/icon';
import { PageHeader } from '@core/page/page-header';
import { Grant } from '@core/permission/grant';
import { GrantChip } from '@core/permission/grant-chip';
import { GrantLimits } from '@core/permission/grant-limits';

import { AnsweredGrant, GrantDialog, GrantQuestion } from './grant-dialog';
import { RoleMatrix } from './matrix/role-matrix';
import { Role, inheritable, inheritedGrants } from './role';
import { RoleEffect } from './role-effect';
import { Vocabulary } from './vocabulary';

/** Makes a role or changes one: by a matrix with wildcards, by hand, and by inheriting others. */
@Component({
  selector: 'nb-role-builder',
  imports: [
    Field, FieldInput, GrantChip, GrantLimits, Icon, PageHeader, PickList, ProblemNotice, ReactiveFormsModule, RoleEffect, RoleMatrix, RouterLink,
  ],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './role-builder.html',
  styleUrl: './role-builder.scss',
})
export class RoleBuilder {
  private readonly api = inject(Api);
  private readonly dialogs = inject(Dialogs);
  private readonly toasts = inject(Toasts);
  private readonly router = inject(Router);
  protected readonly vocabulary = inject(Vocabulary);

  /** Identifier of the role, from the address; none for a new one. */
  readonly id = input<string>();
  /** The role that a new one begins as a copy of. */
  readonly from = input<string>();

  protected readonly saved = remote<Role>(() => {
    const id = this.id() ?? this.from();
    return id ? `/roles/${id}` : null;
  });
  protected readonly grants = signal<readonly Grant[]>([]);
  protected readonly inherits = signal<ReadonlySet<string>>(new Set());
  protected readonly form = new FormGroup({
    name: new FormControl('', { nonNullable: true, validators: Validators.required }),
    description: new FormControl('', { nonNullable: true }),
  });
  protected readonly sending = submit(this.form);
  private done = false;

  protected readonly back = { link: '/roles', label: $localize`Roles` };
  protected readonly roles = this.vocabulary.roles.items;
  protected readonly parents = computed(() => inheritable(this.id() ?? null, this.roles()));
  protected readonly inherited = computed(() => inheritedGrants([...this.inherits()], this.roles()));
  protected readonly heading = computed(() => (this.id() ? $localize`Edit a role` : $localize`New role`));
  protected readonly ready = computed(() => (!this.id() && !this.from()) || this.saved.value() !== null);
  protected readonly draft = computed((): Role => {
    this.sending.touched();
    return {
      ...this.form.getRawValue(),
      id: this.id() ?? '',
      system: false,
      grants: [...this.grants()],
      inherits: [...this.inherits()],
    };
  });

  constructor() {
    effect(() => {
      const role = this.saved.value();
      if (role) untracked(() => this.begin(role));
    });
  }

  /** Asks before changes are lost. */
  mayLeave(): boolean | Promise<boolean> {
    if (this.done || !this.changed()) return true;
    return this.dialogs.confirm({
      heading: $localize`Leave without saving?`,
      text: $localize`What you changed in this role is lost.`,
      verb: $localize`Leave`,
      danger: true,
    });
  }

  protected async add(permission = ''): Promise<void> {
    await this.ask($localize`Add a grant`, permission ? { permission, effect: 'allow' } : undefined, (grant) =>
      this.grants.update((old) => [...old, grant]),
    );
  }

  protected async edit(at: number): Promise<void> {
    await this.ask($localize`Change the grant`, this.grants()[at], (grant) =>
      this.grants.update((old) => old.map((one, index) => (index === at ? grant : one))),
    );
  }

  protected remove(at: number): void {
    this.grants.update((old) => old.filter((_, index) => index !== at));
  }

  protected async save(): Promise<void> {
    if (!this.sending.ready()) return;
    const { name, description, grants, inherits } = this.draft();
    const body = { name: name.trim(), description, grants, inherits };
    const id = this.id();
    await this.sending.run(async () => {
      const role = id ? await this.api.put<Role>(`/roles/${id}`, body) : await this.api.post<Role>('/roles', body);
      this.done = true;
      this.toasts.done($localize`The role ${role.name} counts like this from the next request on.`);
      await this.vocabulary.roles.reload();
      await this.router.navigate(['/roles', role.id]);
    });
  }

  private async ask(heading: string, grant: Grant | undefined, use: (grant: Grant) => void): Promise<void> {
    const question: GrantQuestion = { heading, verb: $localize`Take it over`, vocabulary: this.vocabulary, ...(grant ? { grant } : {}) };
    const made = await this.dialogs.open<AnsweredGrant>(GrantDialog, question, { wide: true });
    if (made) use(made.grant);
  }

  private begin(role: Role): void {
    const name = this.id() ? role.name : $localize`Copy of ${role.name}`;
    this.form.reset({ name, description: role.description });
    this.grants.set(role.grants);
    this.inherits.set(new Set(role.inherits ?? []));
  }

  private changed(): boolean {
    const was = this.id() ? this.saved.value() : null;
    const same = (one: unknown, other: unknown) => JSON.stringify(one) === JSON.stringify(other);
    return this.form.dirty || !same(was?.grants ?? [], this.grants()) || !same(was?.inherits ?? [], [...this.inherits()]);
  }
}
