/**
 * Whether a session that holds `held` may do `asked`. Entries are
 * `domain:resource:action[:subtype]` with `*` for any part; a leading `!`
 * denies. The most specific matching entry decides, deny wins at a tie, and
 * nothing matching means no. The server decides again; this only keeps controls
 * that cannot work out of sight.
 */
export function allows(held: readonly string[], asked: string): boolean {
  const want = asked.split(':');
  let best = -1;
  let allowed = false;
  for (const entry of held) {
    const denies = entry.startsWith('!');
    const rank = specificity((denies ? entry.slice(1) : entry).split(':'), want);
    if (rank < 0 || rank < best) continue;
    allowed = rank === best ? allowed && !denies : !denies;
    best = rank;
  }
  return allowed;
}

// specificity is -1 when the pattern does not match. More literal parts are
// more specific; with equally many, an earlier literal part outweighs a later
// one. The server orders grants the same way.
function specificity(pattern: readonly string[], want: readonly string[]): number {
  if (pattern.length > want.length) return -1;
  let rank = 0;
  for (const [at, part] of pattern.entries()) {
    if (part === '*') continue;
    if (part !== want[at]) return -1;
    rank += 16 + (8 >> at);
  }
  return rank;
}
