import {
  ChangeDetectionStrategy,
  Component,
  DestroyRef,
  ElementRef,
  afterNextRender,
  effect,
  inject,
  input,
  model,
  output,
  signal,
  viewChild,
} from '@angular/core';

import { Api } from '@core/api/api';
import { Icon } from '@core/icon/icon';

import type { Editor } from './editor/setup';
import { ProgramDiagnostic, Schema } from './stack';

/** The text of a program with highlighting, completion and what the server says about it. */
@Component({
  selector: 'nb-program-editor',
  imports: [Icon],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './program-editor.html',
  styleUrl: './program-editor.scss',
})
export class ProgramEditor {
  private readonly api = inject(Api);
  readonly text = model.required<string>();
  readonly label = input.required<string>();
  readonly readonly = input(false);
  readonly schema = input<Schema | null>(null);
  /** Ctrl-S was pressed. */
  readonly save = output();

  protected readonly diagnostics = signal<readonly ProgramDiagnostic[]>([]);
  protected readonly ready = signal(false);
  protected readonly failed = signal(false);
  private readonly place = viewChild.required<ElementRef<HTMLElement>>('place');
  private editor: Editor | null = null;
  private gone = false;

  constructor() {
    afterNextRender(() => void this.open());
    effect(() => {
      const text = this.text();
      this.editor?.set(text);
    });
    inject(DestroyRef).onDestroy(() => {
      this.gone = true;
      this.editor?.destroy();
    });
  }

  protected go(one: ProgramDiagnostic): void {
    this.editor?.go(one.line, one.column);
  }

  protected async open(): Promise<void> {
    this.failed.set(false);
    const setup = await import('./editor/setup').catch(() => null);
    if (this.gone) return;
    if (!setup) return this.failed.set(true);
    this.editor = setup.createEditor({
      parent: this.place().nativeElement,
      text: this.text(),
      label: this.label(),
      readonly: this.readonly(),
      schema: this.schema,
      changed: (text) => this.text.set(text),
      save: () => this.save.emit(),
      check: (text) => this.check(text),
    });
    this.ready.set(true);
  }

  // A check that fails says nothing: saving and planning check again.
  private async check(program: string): Promise<ProgramDiagnostic[]> {
    const answer = this.api.post<{ diagnostics: ProgramDiagnostic[] | null }>('/stacks/validate', { program });
    const found = await answer.then(
      ({ diagnostics }) => diagnostics ?? [],
      () => [],
    );
    if (!this.gone) this.diagnostics.set(found);
    return found;
  }
}
