import { CdkMenu, CdkMenuItem, CdkMenuItemRadio, CdkMenuTrigger } from '@angular/cdk/menu';
import { ChangeDetectionStrategy, Component, computed, input, linkedSignal, model, output, signal } from '@angular/core';

import { Icon } from '@core/icon/icon';
import { IconName } from '@core/icon/icons';
import { SearchBox } from '@core/list/search-box';
import { Grant, isPlain } from '@core/permission/grant';

import { Effect, Saying, effectOf, write, written } from './effect';
import { Cell, Known, Row, matrixOf, shownRows } from './matrix';
import { contains } from './pattern';

/** A place of the matrix with what is written in it and what comes of all grants. */
export interface CellView extends Cell {
  written: Saying;
  effect: Effect;
  icon: IconName | null;
  label: string;
}

interface RowView extends Row {
  view: CellView[];
  otherView: CellView[];
  allowed: number;
}

const icons: Record<Saying, IconName | null> = { none: null, allow: 'check', deny: 'close', hard: 'lock' };

/** The grants of a role as a matrix of resources and actions with wildcards. */
@Component({
  selector: 'nb-role-matrix',
  imports: [CdkMenu, CdkMenuItem, CdkMenuItemRadio, CdkMenuTrigger, Icon, SearchBox],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './role-matrix.html',
  styleUrl: './role-matrix.scss',
})
export class RoleMatrix {
  readonly known = input.required<readonly Known[]>();
  readonly grants = model.required<readonly Grant[]>();
  /** What the role has from others besides. */
  readonly inherited = input<readonly Grant[]>([]);
  /** A pattern is to be granted with limits. */
  readonly limit = output<string>();

  protected readonly query = signal('');
  private readonly matrix = computed(() => matrixOf(this.known()));
  protected readonly columns = computed(() => this.matrix().columns);
  // Domains that say something of their own begin open.
  protected readonly closed = linkedSignal<readonly Known[], ReadonlySet<string>>({
    source: this.known,
    computation: (known) => {
      const said = new Set(this.grants().map((grant) => grant.permission.split(':')[0]));
      return new Set(known.map((one) => one.domain).filter((domain) => !said.has(domain)));
    },
  });
  private readonly all = computed(() => [...this.grants(), ...this.inherited()]);
  protected readonly rows = computed(() =>
    shownRows(this.matrix().rows, this.closed(), this.query()).map((row) => this.rowView(row)),
  );
  protected readonly sayings: readonly { value: Saying; label: string; icon: IconName | null }[] = [
    { value: 'none', label: $localize`Say nothing here`, icon: null },
    { value: 'allow', label: $localize`Allow`, icon: 'check' },
    { value: 'deny', label: $localize`Deny`, icon: 'close' },
    { value: 'hard', label: $localize`Deny always`, icon: 'lock' },
  ];

  protected toggle(domain: string): void {
    const next = new Set(this.closed());
    if (!next.delete(domain)) next.add(domain);
    this.closed.set(next);
  }

  protected allOpen(open: boolean): void {
    this.closed.set(open ? new Set() : new Set(this.known().map((one) => one.domain)));
  }

  protected say(cell: CellView, saying: Saying): void {
    this.grants.update((old) => write(old, cell.pattern, saying));
  }

  private rowView(row: Row): RowView {
    const grants = this.grants();
    const all = this.all();
    const view = (cell: Cell) => cellView(cell, grants, all);
    const allowed = row.permissions.filter((permission) => effectOf(all, permission).saying === 'allow').length;
    return { ...row, view: row.cells.map(view), otherView: row.others.map(view), allowed };
  }
}

function cellView(cell: Cell, grants: readonly Grant[], all: readonly Grant[]): CellView {
  const said = written(grants, cell.pattern);
  const effect = effectOf(all, cell.pattern);
  const own = grants.some((grant) => !isPlain(grant) && contains(grant.permission, cell.pattern));
  return {
    ...cell,
    written: said,
    effect: { ...effect, limited: effect.limited || own },
    icon: icons[effect.saying],
    label: labelOf(cell, said, effect),
  };
}

function labelOf(cell: Cell, said: Saying, { saying, by, limited }: Effect): string {
  const rest = limited ? $localize`, with limits besides` : '';
  if (saying === 'none') return $localize`${cell.pattern}:permission:: not allowed` + rest;
  const word = { allow: $localize`allowed`, deny: $localize`denied`, hard: $localize`always denied` }[saying];
  if (said === saying) return $localize`${cell.pattern}:permission:: ${word} here` + rest;
  return $localize`${cell.pattern}:permission:: ${word} by ${by?.permission ?? ''}` + rest;
}
