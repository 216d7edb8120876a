import { AuditRecord } from './record';

/** What one message of the live feed carries. */
export interface FeedMessage {
  records: AuditRecord[];
  /** Records that were left out because more came than a browser is given. */
  lost: number;
}

/** A line of the feed: a record, or how many were left out there. */
export type FeedLine = { key: string; record: AuditRecord; lost: 0 } | { key: string; record: null; lost: number };

/** How many lines are kept. */
export const most = 500;

/**
 * The lines after a message, the newest first. A record that is there already is
 * not taken again; beyond `most`, the oldest lines go.
 */
export function append(lines: readonly FeedLine[], message: FeedMessage): FeedLine[] {
  const known = new Set(lines.map((line) => line.key));
  const fresh: FeedLine[] = [];
  const first = message.records[0]?.sequence ?? lines[0]?.record?.sequence ?? 0;
  if (message.lost > 0) fresh.push({ key: `lost-${first}-${lines.length}`, record: null, lost: message.lost });
  for (const record of message.records) {
    const key = String(record.sequence);
    if (known.has(key)) continue;
    known.add(key);
    fresh.push({ key, record, lost: 0 });
  }
  return [...fresh.reverse(), ...lines].slice(0, most);
}
