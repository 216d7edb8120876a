import { ChangeDetectionStrategy, Component, computed, inject, input } from '@angular/core';
import { Router, RouterLink } from '@angular/router';

import { Api, Page } from '@core/api/api';
import { remote } from '@core/api/remote';
import { Connection } from '@core/connection/connection';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Toasts } from '@core/feedback/toasts';
import { Icon } from '@core/icon/icon';
import { IconName } from '@core/icon/icons';
import { keysetList } from '@core/list/keyset-list';
import { EmptyState } from '@core/page/empty-state';
import { PageHeader } from '@core/page/page-header';

import { ProgramEditor } from './program-editor';
import { Stack, Template } from './stack';
import { TemplateForm } from './template-form';

const blank: Template = {
  name: 'blank',
  title: $localize`Blank`,
  description: $localize`An empty program, for those who write their own.`,
  program: `name: my-stack
runtime: yaml
config: {}
resources: {}
outputs: {}
`,
  parameters: [],
};

/** Makes a stack: choose a template, answer what it asks for. */
@Component({
  selector: 'nb-new-stack',
  imports: [EmptyState, Icon, PageHeader, ProblemNotice, ProgramEditor, RouterLink, TemplateForm],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './new-stack.html',
  styleUrl: './new-stack.scss',
})
export class NewStack {
  private readonly api = inject(Api);
  private readonly router = inject(Router);
  private readonly toasts = inject(Toasts);
  /** The name of the chosen template, from the address. */
  readonly template = input<string>();

  protected readonly templates = remote<Page<Template>>(() => '/templates');
  protected readonly connections = keysetList<Connection>('/connections');
  protected readonly all = computed(() => [...(this.templates.value()?.items ?? []), blank]);
  protected readonly chosen = computed(() => this.all().find((one) => one.name === this.template()) ?? null);
  protected readonly back = computed(() =>
    this.chosen()
      ? { link: '/stacks/new', label: $localize`Templates` }
      : { link: '/stacks', label: $localize`Stacks` },
  );
  protected readonly heading = computed(() => this.chosen()?.title ?? $localize`New stack`);
  protected readonly lead = computed(() => this.chosen()?.description ?? $localize`Choose what to begin with. Everything can be changed later.`);

  protected icon(template: Template): IconName {
    if (template === blank) return 'code';
    if (template.name.includes('container')) return 'container';
    return template.name.includes('app') ? 'pool' : 'vm';
  }

  protected async made({ stack, deploy }: { stack: Stack; deploy: boolean }): Promise<void> {
    if (deploy) {
      const body = { stack_id: stack.id, operation: 'up' };
      const run = await this.api.post<{ id: string }>('/deployments', body).catch((cause: unknown) => {
        this.toasts.failed(cause);
        return null;
      });
      if (run) return void this.router.navigate(['/deployments', run.id]);
    }
    await this.router.navigate(['/stacks', stack.id]);
  }
}
