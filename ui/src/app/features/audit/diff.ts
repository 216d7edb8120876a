/** One line of two texts beside each other; a side that has none there is null. */
export interface DiffLine {
  kind: 'same' | 'added' | 'removed' | 'changed';
  before: { number: number; text: string } | null;
  after: { number: number; text: string } | null;
}

/** Lines that are shown, or unchanged ones that are folded away. */
export interface DiffPart {
  folded: boolean;
  lines: DiffLine[];
}

const context = 3;
const most = 4_000_000; // cells of the table that finds the longest common lines

/** Two JSON documents line by line. A document that is not there has no lines. */
export function diffDocuments(before: unknown, after: unknown): DiffLine[] {
  return diffLines(linesOf(before), linesOf(after));
}

function linesOf(value: unknown): string[] {
  return value === null || value === undefined ? [] : JSON.stringify(sorted(value), null, 2).split('\n');
}

// Members in one order: a document that was only written anew has not changed.
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (value === null || typeof value !== 'object') return value;
  const entries = Object.entries(value as Record<string, unknown>).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([name, inner]) => [name, sorted(inner)]));
}

/** What was taken away and added, in the order of both texts; replaced lines stand beside each other. */
export function diffLines(before: readonly string[], after: readonly string[]): DiffLine[] {
  const head = commonHead(before, after);
  const tail = commonTail(before, after, head);
  const old = before.slice(head, before.length - tail);
  const now = after.slice(head, after.length - tail);
  const pairs: [number, number][] = [];
  for (let at = 0; at < head; at++) pairs.push([at, at]);
  pairs.push(...common(old, now).map(([a, b]): [number, number] => [a + head, b + head]));
  for (let at = tail; at > 0; at--) pairs.push([before.length - at, after.length - at]);
  return rows(before, after, pairs);
}

function commonHead(a: readonly string[], b: readonly string[]): number {
  let at = 0;
  while (at < a.length && at < b.length && a[at] === b[at]) at++;
  return at;
}

function commonTail(a: readonly string[], b: readonly string[], head: number): number {
  let at = 0;
  while (at < Math.min(a.length, b.length) - head && a[a.length - 1 - at] === b[b.length - 1 - at]) at++;
  return at;
}

// The longest common lines. Texts too large for the table count as replaced as a whole.
function common(a: readonly string[], b: readonly string[]): [number, number][] {
  const wide = b.length + 1;
  if ((a.length + 1) * wide > most) return [];
  const length = new Uint32Array((a.length + 1) * wide);
  const at = (i: number, j: number): number => length[i * wide + j] ?? 0;
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      length[i * wide + j] = a[i] === b[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
    }
  }
  const pairs: [number, number][] = [];
  for (let i = 0, j = 0; i < a.length && j < b.length; ) {
    if (a[i] === b[j]) pairs.push([i++, j++]);
    else if (at(i + 1, j) >= at(i, j + 1)) i++;
    else j++;
  }
  return pairs;
}

function rows(before: readonly string[], after: readonly string[], pairs: [number, number][]): DiffLine[] {
  const lines: DiffLine[] = [];
  let [i, j] = [0, 0];
  for (const [a, b] of [...pairs, [before.length, after.length] as [number, number]]) {
    while (i < a || j < b) {
      const old = i < a ? { number: i + 1, text: before[i++] ?? '' } : null;
      const now = j < b ? { number: j + 1, text: after[j++] ?? '' } : null;
      lines.push({ kind: old && now ? 'changed' : old ? 'removed' : 'added', before: old, after: now });
    }
    if (a === before.length) break;
    lines.push({
      kind: 'same',
      before: { number: ++i, text: before[a] ?? '' },
      after: { number: ++j, text: after[b] ?? '' },
    });
  }
  return lines;
}

/** Folds runs of unchanged lines, but for the three beside a change. */
export function fold(lines: readonly DiffLine[]): DiffPart[] {
  const near = lines.map((_, at) =>
    lines.slice(Math.max(0, at - context), at + context + 1).some((line) => line.kind !== 'same'),
  );
  const parts: DiffPart[] = [];
  for (const [at, line] of lines.entries()) {
    const folded = !near[at];
    const last = parts.at(-1);
    if (last?.folded === folded) last.lines.push(line);
    else parts.push({ folded, lines: [line] });
  }
  return parts.map((part) => (part.folded && part.lines.length < 2 ? { ...part, folded: false } : part));
}

/** The lines of one column: what went before what came, for each run of changes. */
export function inline(lines: readonly DiffLine[]): { sign: '-' | '+' | ' '; text: string }[] {
  const out: { sign: '-' | '+' | ' '; text: string }[] = [];
  let came: typeof out = [];
  for (const line of lines) {
    if (line.kind === 'same') {
      out.push(...came, { sign: ' ', text: line.after?.text ?? '' });
      came = [];
      continue;
    }
    if (line.before) out.push({ sign: '-', text: line.before.text });
    if (line.after) came.push({ sign: '+', text: line.after.text });
  }
  return [...out, ...came];
}
