import { Bucket } from './record';

const hour = 3_600_000;
const day = 24 * hour;

/** The times a histogram shows, and how wide its bars are. */
export interface Span {
  from: number;
  to: number;
  bucket: 'hour' | 'day';
}

/** The span of a filter: what is open ends now, and begins thirty days before. */
export function spanOf(from: string | undefined, to: string | undefined, now: number): Span {
  const end = to ? Date.parse(to) : now;
  const begin = from ? Date.parse(from) : end - 30 * day;
  return { from: begin, to: Math.max(end, begin + 1), bucket: end - begin <= 4 * day ? 'hour' : 'day' };
}

/** One bar of a histogram. */
export interface Bar {
  from: number;
  to: number;
  count: number;
  denied: number;
  failed: number;
  critical: number;
}

const most = 800; // bars; a longer span shows its end

/** The bars of a span, also where nothing happened. Buckets begin where the server says; gaps are filled between. */
export function barsOf(buckets: readonly Bucket[], span: Span): Bar[] {
  const width = span.bucket === 'hour' ? hour : day;
  const known = buckets.map((bucket) => ({ ...bucket, from: Date.parse(bucket.from) }));
  const anchor = known[0]?.from ?? Math.floor(span.from / width) * width;
  const begin = anchor + Math.floor((span.from - anchor) / width) * width;
  const count = Math.max(1, Math.ceil((span.to - begin) / width));
  const skipped = Math.max(0, count - most);
  const bars = Array.from({ length: count - skipped }, (_, at): Bar => {
    const from = begin + (at + skipped) * width;
    return { from, to: from + width, count: 0, denied: 0, failed: 0, critical: 0 };
  });
  for (const bucket of known) {
    // A day of a time zone may be an hour longer or shorter: the nearest bar takes it.
    const bar = bars[Math.round((bucket.from - begin) / width) - skipped];
    if (!bar) continue;
    bar.count += bucket.count;
    bar.denied += bucket.denied;
    bar.failed += bucket.failed;
    bar.critical += bucket.critical;
  }
  return bars;
}

/** The bars between two places of a histogram, as shares of its width, in any order. */
export function barsBetween(bars: readonly Bar[], a: number, b: number): { from: number; to: number } | null {
  const at = (share: number): number => Math.max(0, Math.min(bars.length - 1, Math.floor(share * bars.length)));
  const first = bars[at(Math.min(a, b))];
  const last = bars[at(Math.max(a, b))];
  return first && last ? { from: first.from, to: last.to } : null;
}
