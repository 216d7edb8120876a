import { ChangeDetectionStrategy, Component, computed, input, model } from '@angular/core';

import { Icon } from '@core/icon/icon';

import { ConfigRow, doubled, keepsSecret } from './config-row';

/** The configuration of a stack as an editable table. Secrets are write-only. */
@Component({
  selector: 'nb-config-table',
  imports: [Icon],
  changeDetection: ChangeDetectionStrategy.OnPush,
  host: { class: 'card' },
  templateUrl: './config-table.html',
  styleUrl: './config-table.scss',
})
export class ConfigTable {
  readonly rows = model.required<readonly ConfigRow[]>();
  /** Keys that the program declares, with their types. */
  readonly declared = input.required<ReadonlyMap<string, string>>();
  readonly readonly = input(false);

  protected readonly doubled = computed(() => new Set(doubled(this.rows())));
  protected readonly missing = computed(() => {
    const have = new Set(this.rows().map((row) => row.key.trim()));
    return [...this.declared().keys()].filter((key) => !have.has(key));
  });
  protected readonly kept = keepsSecret;

  protected typeOf(key: string): string {
    return this.declared().get(key.trim()) ?? '';
  }

  protected unused(row: ConfigRow): boolean {
    return row.key !== '' && this.declared().size > 0 && !this.declared().has(row.key.trim());
  }

  protected change(at: number, part: Partial<ConfigRow>): void {
    this.rows.update((old) => old.map((row, index) => (index === at ? { ...row, ...part } : row)));
  }

  protected add(...keys: string[]): void {
    const fresh = keys.map((key) => ({ key, text: '', secret: false, origin: null }));
    this.rows.update((old) => [...old, ...fresh]);
  }

  protected remove(at: number): void {
    this.rows.update((old) => old.filter((_, index) => index !== at));
  }
}
