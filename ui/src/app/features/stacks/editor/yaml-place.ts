/** Where the cursor stands in a YAML text, seen by indentation alone, so that it works while typing. */
export interface Place {
  /** The keys above, outermost first: `['resources', 'vm', 'properties']`. */
  path: string[];
  /** The key whose value is being written, or null while a key is written. */
  key: string | null;
  /** What is written of the key or value so far. */
  typed: string;
}

/** One line's key, where it stands, and where its list dash stands. */
interface KeyLine {
  key: string;
  column: number;
  dash: number | null;
  rest: string;
}

const keyPattern = /^(\s*)((?:-\s+)*)(?:"([^"]*)"|'([^']*)'|([\w.$/-]+))\s*:(?:\s+(.*))?$/;

function keyLine(line: string): KeyLine | null {
  const match = keyPattern.exec(line);
  if (!match) return null;
  const [, indent = '', dashes = '', double, single, plain, rest = ''] = match;
  const key = double ?? single ?? plain ?? '';
  const column = indent.length + dashes.length;
  return { key, column, dash: dashes ? indent.length + dashes.lastIndexOf('-') : null, rest };
}

/** Finds the place of `column` (from 0) in line `at` (from 0). */
export function placeAt(lines: readonly string[], at: number, column: number): Place {
  const before = (lines[at] ?? '').slice(0, column);
  const flow = /(?:^|[\s-])([\w.$/-]+):\s*\{([^{}]*)$/.exec(before);
  if (flow) return inFlow(lines, at, before, flow[1] ?? '', flow[2] ?? '');
  const line = keyLine(before);
  if (line) {
    const path = parents(lines, at, line.dash === null ? line.column : line.dash + 1);
    return { path, key: line.key, typed: line.rest };
  }
  const start = /^(\s*(?:-\s+)*)(.*)$/.exec(before);
  const indent = start?.[1] ?? '';
  const dash = indent.lastIndexOf('-');
  return { path: parents(lines, at, dash < 0 ? indent.length : dash + 1), key: null, typed: start?.[2] ?? '' };
}

function inFlow(lines: readonly string[], at: number, before: string, key: string, inside: string): Place {
  const outer = keyLine(before);
  const limit = outer === null ? 0 : outer.dash === null ? outer.column : outer.dash + 1;
  const path = [...parents(lines, at, limit), ...(outer && outer.key !== key ? [outer.key] : []), key];
  const last = inside.slice(inside.lastIndexOf(',') + 1).trimStart();
  const value = /^([\w.$/-]+):\s*(.*)$/.exec(last);
  return value ? { path, key: value[1] ?? '', typed: value[2] ?? '' } : { path, key: null, typed: last };
}

// parents walks up from a line to every key that stands further left.
function parents(lines: readonly string[], at: number, column: number): string[] {
  const path: string[] = [];
  let limit = column;
  for (let up = at - 1; up >= 0 && limit > 0; up--) {
    const line = keyLine(lines[up] ?? '');
    if (!line) continue;
    if (line.column < limit) {
      path.unshift(line.key);
      limit = line.dash === null ? line.column : line.dash + 1;
    } else if (line.dash !== null && line.dash < limit) {
      limit = line.dash + 1;
    }
  }
  return path;
}

/** The keys directly under `path`, with what is written behind each. */
export function keysUnder(lines: readonly string[], path: readonly string[]): Map<string, string> {
  const found = new Map<string, string>();
  lines.forEach((text, at) => {
    const line = keyLine(text);
    if (!line || line.dash !== null) return;
    const above = parents(lines, at, line.column);
    if (above.length === path.length && above.every((key, index) => key === path[index])) {
      found.set(line.key, line.rest.trim());
    }
  });
  return found;
}

/** The types that a program declares for its configuration, by key; '' where it names none. */
export function declaredConfig(program: string): Map<string, string> {
  const lines = program.split('\n');
  const types = new Map<string, string>();
  for (const [key, rest] of keysUnder(lines, ['config'])) {
    const flow = /\btype:\s*([\w<>]+)/.exec(rest)?.[1];
    types.set(key, flow ?? keysUnder(lines, ['config', key]).get('type') ?? '');
  }
  return types;
}
