import { ConfigValue, mask } from './stack';

/** One line of the configuration as it is edited: every value is text. */
export interface ConfigRow {
  key: string;
  text: string;
  secret: boolean;
  /** What the server gave, to send it back unchanged; null for a new line. */
  origin: ConfigValue | null;
}

/** The configuration as lines in the order of their keys. */
export function rowsOf(config: Record<string, ConfigValue>): ConfigRow[] {
  return Object.entries(config)
    .sort(([a], [b]) => a.localeCompare(b))
    .map(([key, origin]) => ({ key, text: isKept(origin) ? '' : textOf(origin.value), secret: origin.secret, origin }));
}

/** Whether a line stands for a secret that stays as the server has it. */
export function keepsSecret(row: ConfigRow): boolean {
  return row.secret && row.text === '' && row.origin !== null && isKept(row.origin);
}

/**
 * The lines as the server wants them. A value takes the type that the program
 * declares for its key; without one it keeps the type that it had.
 */
export function configOf(rows: readonly ConfigRow[], types: ReadonlyMap<string, string>): Record<string, ConfigValue> {
  const filled = rows.filter((row) => row.key.trim() !== '');
  return Object.fromEntries(filled.map((row) => [row.key.trim(), valueOf(row, types.get(row.key.trim()) ?? '')]));
}

/** Keys that stand on more than one line. */
export function doubled(rows: readonly ConfigRow[]): string[] {
  const keys = rows.map((row) => row.key.trim()).filter(Boolean);
  return [...new Set(keys.filter((key, at) => keys.indexOf(key) !== at))];
}

function valueOf(row: ConfigRow, type: string): ConfigValue {
  const { secret, text, origin } = row;
  if (keepsSecret(row)) return { value: mask, secret };
  if (origin && !isKept(origin) && textOf(origin.value) === text) return { value: origin.value, secret };
  return { value: typed(text, type || jsonType(origin)), secret };
}

/** A text as a value of a declared type; text that does not fit stays text, for the server to refuse. */
export function typed(text: string, type: string): unknown {
  const lower = type.toLowerCase();
  if (['integer', 'int', 'number'].includes(lower)) return text.trim() && Number.isFinite(Number(text)) ? Number(text) : text;
  if (['boolean', 'bool'].includes(lower)) return text === 'true' ? true : text === 'false' ? false : text;
  if (/^(list|array|object|map)/.test(lower)) return parsed(text);
  return text;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

function jsonType(origin: ConfigValue | null): string {
  return origin === null || isKept(origin) ? '' : typeof origin.value;
}

function isKept({ value, secret }: ConfigValue): boolean {
  return secret && value === mask;
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : value === null || value === undefined ? '' : JSON.stringify(value);
}
