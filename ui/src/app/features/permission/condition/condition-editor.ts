import {
  ChangeDetectionStrategy,
  Component,
  DestroyRef,
  ElementRef,
  afterNextRender,
  computed,
  effect,
  inject,
  model,
  signal,
  viewChild,
} from '@angular/core';

import { remote } from '@core/api/remote';

import { ConditionTest } from './condition-test';
import type { ConditionText } from './setup';
import { ConditionWords } from './words';

/** Takes a condition in CEL: with highlighting, completion, the words it can use, and a test. */
@Component({
  selector: 'nb-condition-editor',
  imports: [ConditionTest],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './condition-editor.html',
  styleUrl: './condition-editor.scss',
})
export class ConditionEditor {
  readonly condition = model.required<string>();

  protected readonly words = remote<ConditionWords>(() => '/permissions/condition/vocabulary');
  protected readonly names = computed(() => this.words.value()?.names ?? this.words.value()?.items ?? []);
  protected readonly functions = computed(() => this.words.value()?.functions ?? []);
  protected readonly plain = signal(false);
  private readonly place = viewChild.required<ElementRef<HTMLElement>>('place');
  private editor: ConditionText | null = null;
  private gone = false;

  constructor() {
    afterNextRender(() => void this.open());
    effect(() => {
      const text = this.condition();
      this.editor?.set(text);
    });
    inject(DestroyRef).onDestroy(() => {
      this.gone = true;
      this.editor?.destroy();
    });
  }

  protected use(example: string): void {
    const written = this.condition().trim();
    this.condition.set(written ? `${written} && ${example}` : example);
  }

  // An editor that cannot be loaded leaves a plain field.
  private async open(): Promise<void> {
    const setup = await import('./setup').catch(() => null);
    if (this.gone) return;
    if (!setup) return this.plain.set(true);
    this.editor = setup.createConditionText({
      parent: this.place().nativeElement,
      text: this.condition(),
      label: $localize`Condition`,
      placeholder: 'actor.mfa',
      words: this.words.value,
      changed: (text) => this.condition.set(text),
    });
  }
}
