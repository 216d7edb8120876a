/** One value that a change touched; absent values are null. */
export interface Change {
  path: string;
  before: string | null;
  after: string | null;
}

/** The values that differ between two JSON documents, by path, in the order of their paths. */
export function changesBetween(before: unknown, after: unknown): Change[] {
  const old = flatten(before);
  const now = flatten(after);
  return [...new Set([...old.keys(), ...now.keys()])]
    .filter((path) => old.get(path) !== now.get(path))
    .sort()
    .map((path) => ({ path, before: old.get(path) ?? null, after: now.get(path) ?? null }));
}

/** Every leaf of a JSON document by its path: `tags[0]`, `network.bridge`. */
export function flatten(value: unknown, path = '', into = new Map<string, string>()): Map<string, string> {
  const parts =
    value !== null && typeof value === 'object' ? Object.entries(value as Record<string, unknown>) : null;
  if (!parts || parts.length === 0) {
    if (path || (!parts && value !== null && value !== undefined)) into.set(path, leaf(value));
    return into;
  }
  for (const [key, inner] of parts) {
    const step = Array.isArray(value) ? `[${key}]` : path ? `.${key}` : key;
    flatten(inner, path + step, into);
  }
  return into;
}

function leaf(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}
