/** Something that lies under another of its kind. */
export interface TreeItem {
  id: string;
  parent_id: string | null;
  name: string;
}

/** One line of a tree that is drawn as a table. */
export interface TreeRow<T extends TreeItem> {
  item: T;
  /** 0 for what lies under nothing that is shown. */
  depth: number;
  hasChildren: boolean;
  open: boolean;
}

const byName = new Intl.Collator(undefined, { numeric: true, sensitivity: 'base' });

/**
 * The lines of a tree in the order they are read. Items whose parent is not in
 * the list stand at the top, so that a part of a tree can be shown. What lies
 * under an id in `closed` is left out. A loop in the data cannot hang it: each
 * item appears at most once, and what is only in a loop appears at the top.
 */
export function treeRows<T extends TreeItem>(
  items: readonly T[],
  closed: ReadonlySet<string> = new Set(),
): TreeRow<T>[] {
  const children = childrenOf(items);
  const seen = new Set<string>();
  const rows: TreeRow<T>[] = [];
  const walk = (item: T, depth: number, shown: boolean): void => {
    if (seen.has(item.id)) return;
    seen.add(item.id);
    const below = children.get(item.id) ?? [];
    const open = !closed.has(item.id);
    if (shown) rows.push({ item, depth, hasChildren: below.length > 0, open });
    for (const child of below) walk(child, depth + 1, shown && open);
  };
  for (const item of children.get(null) ?? []) walk(item, 0, true);
  for (const item of items) walk(item, 0, true);
  return rows;
}

/** The items that match, and those above them so that their place can be seen. */
export function treeMatches<T extends TreeItem>(items: readonly T[], matches: (item: T) => boolean): T[] {
  const keep = new Set<string>();
  for (const item of items) {
    if (matches(item)) pathTo(items, item.id).forEach((each) => keep.add(each.id));
  }
  return items.filter((item) => keep.has(item.id));
}

/** An item and everything above it, the topmost first. */
export function pathTo<T extends TreeItem>(items: readonly T[], id: string | null): T[] {
  const byId = new Map(items.map((item) => [item.id, item]));
  const path: T[] = [];
  for (let at = id === null ? undefined : byId.get(id); at && !path.includes(at); ) {
    path.unshift(at);
    at = at.parent_id === null ? undefined : byId.get(at.parent_id);
  }
  return path;
}

/** The ids of an item and of everything under it. */
export function subtree(items: readonly TreeItem[], id: string): ReadonlySet<string> {
  const children = childrenOf(items);
  const ids = new Set<string>();
  const walk = (at: string): void => {
    if (ids.has(at)) return;
    ids.add(at);
    (children.get(at) ?? []).forEach((child) => walk(child.id));
  };
  walk(id);
  return ids;
}

/**
 * Where an item can be moved: not under itself or what lies under it, not where
 * it already is, and not so deep that the tree would have more than `levels` levels.
 */
export function moveTargets<T extends TreeItem>(
  items: readonly T[],
  id: string,
  levels = Number.POSITIVE_INFINITY,
): TreeRow<T>[] {
  const moved = subtree(items, id);
  const height = heightOf(items, id, moved);
  const parent = items.find((item) => item.id === id)?.parent_id ?? null;
  return treeRows(items.filter((item) => !moved.has(item.id))).filter(
    (row) => row.item.id !== parent && row.depth + 1 + height <= levels,
  );
}

// heightOf counts the levels of the subtree itself: 1 for a leaf.
function heightOf(items: readonly TreeItem[], id: string, moved: ReadonlySet<string>): number {
  const rows = treeRows(items.filter((item) => moved.has(item.id)));
  const top = rows.find((row) => row.item.id === id)?.depth ?? 0;
  return Math.max(...rows.map((row) => row.depth - top), 0) + 1;
}

function childrenOf<T extends TreeItem>(items: readonly T[]): Map<string | null, T[]> {
  const known = new Set(items.map((item) => item.id));
  const children = new Map<string | null, T[]>();
  for (const item of items) {
    const parent = item.parent_id !== null && known.has(item.parent_id) ? item.parent_id : null;
    children.set(parent, [...(children.get(parent) ?? []), item]);
  }
  children.forEach((list) => list.sort((a, b) => byName.compare(a.name, b.name)));
  return children;
}
