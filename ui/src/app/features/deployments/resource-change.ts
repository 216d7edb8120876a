import { ChangeDetectionStrategy, Component, computed, input, signal } from '@angular/core';

import { Change, PropertyDiff, shortType } from '@core/deployment/deployment';
import { opSign, opWord } from '@core/deployment/plan-counts';
import { Icon } from '@core/icon/icon';

/** One property as the page shows it. */
interface Row {
  path: string;
  old: string | null;
  new: string | null;
  secret: boolean;
  replaces: boolean;
}

// So many properties are shown before the rest has to be asked for.
const shown = 12;

/** One resource of a plan: what happens to it and each property, old and new. */
@Component({
  selector: 'nb-resource-change',
  imports: [Icon],
  changeDetection: ChangeDetectionStrategy.OnPush,
  host: { '[class]': "drift() ? 'op-drift' : 'op-' + change().op" },
  templateUrl: './resource-change.html',
  styleUrl: './resource-change.scss',
})
export class ResourceChange {
  readonly change = input.required<Change>();
  /** Whether this was found on the cluster, and is not what the plan does. */
  readonly drift = input(false);

  protected readonly all = signal(false);
  protected readonly sign = computed(() => (this.drift() ? '!' : opSign[this.change().op]));
  protected readonly type = computed(() => shortType(this.change().type));
  protected readonly destroys = computed(
    () => !this.drift() && (this.change().op === 'delete' || this.change().op === 'replace'),
  );
  protected readonly word = computed(() => {
    if (!this.drift()) return opWord(this.change().op);
    return this.change().op === 'delete' ? $localize`is gone` : $localize`was changed`;
  });
  private readonly every = computed(() => this.change().diffs.map(rowOf));
  protected readonly rows = computed(() => (this.all() ? this.every() : this.every().slice(0, shown)));
  protected readonly hidden = computed(() => this.every().length - this.rows().length);
}

function rowOf(diff: PropertyDiff): Row {
  const { path, secret, replaces } = diff;
  return { path, old: textOf(diff.old), new: textOf(diff.new), secret, replaces };
}

function textOf(value: unknown): string | null {
  if (value === null || value === undefined) return null;
  return typeof value === 'string' ? value : JSON.stringify(value, null, 1).replace(/\n\s*/g, ' ');
}
