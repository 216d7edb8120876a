/** Something that a route of the appliance asks for. */
export interface Known {
  permission: string;
  summary: string;
  domain: string;
  resource: string;
  action: string;
}

/** One place of the matrix. */
export interface Cell {
  /** The pattern that it writes. */
  pattern: string;
  action: string;
  summary: string;
  /** False where the resource has no such action. */
  exists: boolean;
}

/** One line of the matrix. */
export interface Row {
  /** "everything", a whole domain, or one resource. */
  kind: 'all' | 'domain' | 'resource';
  domain: string;
  label: string;
  /** Any action, then one cell for each column. */
  cells: Cell[];
  /** Actions that have no column. */
  others: Cell[];
  /** All that a catalogue knows under this line. */
  permissions: string[];
}

/** The catalogue as lines and columns. */
export interface Matrix {
  columns: string[];
  rows: Row[];
}

const usual = ['read', 'create', 'update', 'delete'];
const enoughForColumn = 4;

/**
 * Arranges a catalogue: first everything, then each domain with its resources.
 * The usual actions and those of many resources have columns, the rest stands
 * at the end of its line.
 */
export function matrixOf(known: readonly Known[]): Matrix {
  const columns = columnsOf(known);
  const rows = [row('all', '*', '*', known, columns)];
  for (const domain of unique(known.map((one) => one.domain))) {
    const within = known.filter((one) => one.domain === domain);
    rows.push(row('domain', domain, '*', within, columns));
    for (const resource of unique(within.map((one) => one.resource))) {
      rows.push(row('resource', domain, resource, within.filter((one) => one.resource === resource), columns));
    }
  }
  return { columns, rows };
}

/** The lines to show: domains that are closed keep their head, a search keeps what matches. */
export function shownRows(rows: readonly Row[], closed: ReadonlySet<string>, search: string): Row[] {
  const query = search.trim().toLowerCase();
  if (!query) return rows.filter((one) => one.kind !== 'resource' || !closed.has(one.domain));
  const hit = (one: Row) => one.kind === 'resource' && one.permissions.some((permission) => permission.includes(query));
  const domains = new Set(rows.filter(hit).map((one) => one.domain));
  return rows.filter((one) => hit(one) || (one.kind === 'domain' && domains.has(one.domain)));
}

function columnsOf(known: readonly Known[]): string[] {
  const resources = new Map<string, Set<string>>();
  for (const { domain, resource, action } of known) {
    const found = resources.get(action) ?? new Set();
    resources.set(action, found.add(`${domain}:${resource}`));
  }
  const many = [...resources].filter(([action, of]) => !usual.includes(action) && of.size >= enoughForColumn);
  many.sort((a, b) => b[1].size - a[1].size || a[0].localeCompare(b[0]));
  return [...usual.filter((action) => resources.has(action)), ...many.map(([action]) => action)];
}

function row(kind: Row['kind'], domain: string, resource: string, known: readonly Known[], columns: readonly string[]): Row {
  const cell = (action: string): Cell => ({
    pattern: `${domain}:${resource}:${action}`,
    action,
    summary: kind === 'resource' ? (known.find((one) => one.action === action)?.summary ?? '') : '',
    exists: action === '*' || known.some((one) => one.action === action),
  });
  const others = kind === 'resource' ? unique(known.map((one) => one.action)).filter((one) => !columns.includes(one)) : [];
  return {
    kind,
    domain,
    label: kind === 'resource' ? resource : domain,
    cells: ['*', ...columns].map(cell),
    others: others.map(cell),
    permissions: known.map((one) => one.permission),
  };
}

function unique(texts: readonly string[]): string[] {
  return [...new Set(texts)].sort((a, b) => a.localeCompare(b));
}
