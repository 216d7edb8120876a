import { CdkMenu, CdkMenuItem, CdkMenuTrigger } from '@angular/cdk/menu';
import { ChangeDetectionStrategy, Component, computed, effect, inject, input, signal, untracked } from '@angular/core';
import { Router, RouterLink } from '@angular/router';

import { Api } from '@core/api/api';
import { remote } from '@core/api/remote';
import { Connection } from '@core/connection/connection';
import { Deployment, Operation, operationName } from '@core/deployment/deployment';
import { DeploymentBadge } from '@core/deployment/deployment-badge';
import { Outputs } from '@core/deployment/outputs';
import { Dialogs } from '@core/dialog/dialogs';
import { action } from '@core/feedback/action';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Toasts } from '@core/feedback/toasts';
import { saveFile } from '@core/file/save-file';
import { Field, FieldInput } from '@core/form/field';
import { Icon } from '@core/icon/icon';
import { keysetList } from '@core/list/keyset-list';
import { ListFrame } from '@core/list/list-frame';
import { Badge } from '@core/page/badge';
import { CopyId } from '@core/page/copy-id';
import { EmptyState } from '@core/page/empty-state';
import { PageHeader } from '@core/page/page-header';
import { rereadWithoutLive } from '@core/realtime/fallback';
import { Realtime } from '@core/realtime/realtime';
import { Session } from '@core/session/session';
import { Commands } from '@core/shortcut/commands';
import { Time } from '@core/time/time';

import { ConfigTable } from './config-table';
import { Draft, bodyOf, differs, draftOf } from './draft';
import { declaredConfig } from './editor/yaml-place';
import { ProgramEditor } from './program-editor';
import { places } from './places';
import { Schema, Stack, stackState } from './stack';

/** One stack: its program and configuration, what it made, and running it. */
@Component({
  selector: 'nb-stack',
  imports: [
    Badge,
    CdkMenu,
    CdkMenuItem,
    CdkMenuTrigger,
    ConfigTable,
    CopyId,
    DeploymentBadge,
    EmptyState,
    Field,
    FieldInput,
    Icon,
    ListFrame,
    Outputs,
    PageHeader,
    ProblemNotice,
    ProgramEditor,
    RouterLink,
    Time,
  ],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './stack-page.html',
  styleUrl: './stack-page.scss',
  host: { '(window:beforeunload)': 'unloading($event)' },
})
export class StackPage {
  private readonly api = inject(Api);
  private readonly dialogs = inject(Dialogs);
  private readonly router = inject(Router);
  private readonly toasts = inject(Toasts);
  protected readonly session = inject(Session);
  readonly id = input.required<string>();

  protected readonly stack = remote<Stack>(() => `/stacks/${this.id()}`);
  protected readonly schema = remote<Schema>(() => '/stacks/schema');
  protected readonly history = keysetList<Deployment>('/deployments', () => ({ stack_id: this.id(), limit: 10 }));
  private readonly connections = keysetList<Connection>('/connections');
  private readonly compartments = places();
  protected readonly places = computed(() => this.compartments.value()?.items ?? []);
  /** What the draft was begun from; its version is sent back with a save. */
  protected readonly base = signal<Stack | null>(null);
  protected readonly draft = signal<Draft | null>(null);
  protected readonly dirty = computed(() => {
    const [draft, base] = [this.draft(), this.base()];
    return draft !== null && base !== null && differs(draft, base);
  });
  protected readonly declared = computed(() => declaredConfig(this.draft()?.program ?? ''));
  protected readonly connection = computed(() =>
    this.connections.items().find((one) => one.id === this.stack.value()?.connection_id),
  );
  protected readonly saving = action();
  protected readonly acting = action();
  protected readonly conflict = computed(() => this.saving.problem()?.code === 'conflict');
  /** Somebody saved a newer version while this one is edited. */
  protected readonly overtaken = computed(
    () => this.dirty() && (this.stack.value()?.version ?? 0) > (this.base()?.version ?? 0),
  );
  protected readonly busy = computed(() => this.acting.busy() || this.saving.busy());
  protected readonly mayEdit = computed(() => this.session.can('deployment:stack:update'));
  protected readonly mayDeploy = computed(() => this.session.can('deployment:stack:deploy'));
  protected readonly running = computed(() => this.stack.value()?.status === 'busy');
  protected readonly back = { link: '/stacks', label: $localize`Stacks` };
  protected readonly state = stackState;
  protected readonly operation = operationName;

  constructor() {
    const realtime = inject(Realtime);
    effect((onCleanup) => onCleanup(realtime.watch('stack', this.id())));
    realtime.on('stack.updated', (event) => event.id === this.id() && void this.stack.reload());
    realtime.on<Deployment>('deployment.updated', (event) => {
      if (event.data.stack_id === this.id()) this.reread();
    });
    rereadWithoutLive(() => this.reread(), 5_000);
    effect(() => {
      const stack = this.stack.value();
      untracked(() => stack && this.adopt(stack));
    });
    inject(Commands).offer({
      id: 'stack.save',
      label: $localize`Save this stack`,
      group: $localize`Stacks`,
      icon: 'check',
      run: () => this.save(),
    });
  }

  /** Asks before a draft is thrown away; the router calls it. */
  async mayLeave(): Promise<boolean> {
    if (!this.dirty()) return true;
    return this.dialogs.confirm({
      heading: $localize`Leave without saving?`,
      text: $localize`What you changed in ${this.base()?.name ?? ''} since the last save is lost.`,
      verb: $localize`Leave`,
      danger: true,
    });
  }

  protected unloading(event: BeforeUnloadEvent): void {
    if (this.dirty()) event.preventDefault();
  }

  protected edit(part: Partial<Draft>): void {
    this.draft.update((old) => old && { ...old, ...part });
  }

  /** Saves the draft; answers whether what is saved is now what is on the page. */
  protected async save(): Promise<boolean> {
    const [draft, base] = [this.draft(), this.base()];
    if (!draft || !base || !this.dirty()) return true;
    const saved = await this.saving.run(async () => {
      this.begin(await this.api.put<Stack>(`/stacks/${base.id}`, bodyOf(draft, base)));
    });
    if (saved) this.toasts.done($localize`Saved.`);
    else if (this.conflict()) await this.stack.reload();
    return saved;
  }

  /** After a conflict: takes the newer version and drops the draft. */
  protected takeTheirs(): void {
    const stack = this.stack.value();
    if (stack) this.begin(stack);
  }

  /** After a conflict: saves the draft over the newer version. */
  protected async keepMine(): Promise<void> {
    const theirs = this.stack.value();
    if (theirs) this.base.set(theirs);
    await this.save();
  }

  /** Saves if needed, starts a run and goes there. */
  protected async deploy(operation: Operation, refresh = false): Promise<void> {
    if (!(await this.save())) return;
    await this.acting.run(async () => {
      const body = { stack_id: this.id(), operation, refresh };
      const run = await this.api.post<Deployment>('/deployments', body);
      await this.router.navigate(['/deployments', run.id]);
    });
  }

  protected async destroy(stack: Stack): Promise<void> {
    const sure = await this.dialogs.confirm({
      heading: $localize`Destroy everything of ${stack.name}?`,
      text: $localize`A plan is made that deletes all ${stack.resource_count} resources with their disks. It still has to be approved before anything happens. The program stays.`,
      verb: $localize`Plan the destruction`,
      danger: true,
      typed: stack.name,
    });
    if (sure) await this.deploy('destroy');
  }

  protected async remove(stack: Stack): Promise<void> {
    const sure = await this.dialogs.confirm({
      heading: $localize`Delete the stack ${stack.name}?`,
      text: $localize`Its program, configuration and history go away. This works only while it has no resources: destroy them first.`,
      verb: $localize`Delete stack`,
      danger: true,
    });
    if (!sure) return;
    const gone = await this.acting.run(() => this.api.delete(`/stacks/${stack.id}`));
    if (!gone) return;
    this.draft.set(null);
    this.toasts.done($localize`The stack ${stack.name} is deleted.`);
    await this.router.navigate(['/stacks']);
  }

  protected async export(stack: Stack): Promise<void> {
    await this.acting.run(async () => {
      const state = await this.api.get<unknown>(`/stacks/${stack.id}/state`);
      saveFile(`${stack.name}.state.json`, JSON.stringify(state, null, 2));
    });
  }

  private reread(): void {
    void this.stack.reload();
    void this.history.reload();
  }

  // A draft that was not touched follows the server; a touched one stays.
  private adopt(stack: Stack): void {
    const other = this.base()?.id !== stack.id;
    if (other || !this.dirty()) this.begin(stack);
  }

  private begin(stack: Stack): void {
    this.saving.clear();
    this.base.set(stack);
    this.draft.set(draftOf(stack));
    if ((this.stack.value()?.version ?? 0) < stack.version) this.stack.set(stack);
  }
}
