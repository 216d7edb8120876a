/** The parts of a permission or pattern; an empty subtype means all of them. */
export type Parts = readonly [domain: string, resource: string, action: string, subtype: string];

/** Splits a permission or pattern. */
export function parts(text: string): Parts {
  const [domain = '', resource = '', action = '', subtype = ''] = text.split(':');
  return [domain, resource, action, subtype];
}

/** Whether everything that `inner` matches is matched by `outer`, as the server sees it. */
export function contains(outer: string, inner: string): boolean {
  const p = parts(outer);
  const q = parts(inner);
  for (let at = 0; at < 3; at++) {
    if (p[at] !== '*' && p[at] !== q[at]) return false;
  }
  return p[3] === '' || (p[3] === '*' && q[3] !== '') || p[3] === q[3];
}

/** How specific a pattern is: by its literal parts, with equally many by how far left they are. */
export function specificity(text: string): number {
  return parts(text).reduce((sum, part, at) => (part === '*' || part === '' ? sum : sum + 16 + (8 >> at)), 0);
}
