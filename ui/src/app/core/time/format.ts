import { zone } from './zone';

const day = { year: 'numeric', month: 'short', day: '2-digit' } as const;
const clock = { hour: '2-digit', minute: '2-digit', second: '2-digit' } as const;
const formats = new Map<string, Intl.DateTimeFormat>();

/** Making a format is slow, so each is made once. */
function format(what: 'time' | 'clock'): Intl.DateTimeFormat {
  const name = zone();
  const key = `${what} ${name ?? ''}`;
  let found = formats.get(key);
  if (!found) {
    found = new Intl.DateTimeFormat(undefined, { timeZone: name, ...clock, ...(what === 'time' ? day : {}) });
    formats.set(key, found);
  }
  return found;
}

const relative = new Intl.RelativeTimeFormat(undefined, { numeric: 'auto', style: 'long' });

const steps: readonly [Intl.RelativeTimeFormatUnit, number][] = [
  ['day', 86_400],
  ['hour', 3_600],
  ['minute', 60],
];

/** A moment to the second, in the tenant's time zone or else the browser's own. Reads a signal. */
export function localTime(at: Date): string {
  return format('time').format(at);
}

/** The time of day of a moment, likewise. */
export function localClock(at: Date): string {
  return format('clock').format(at);
}

/** A moment as `2026-11-24 09:30:00 UTC`. */
export function utcTime(at: Date): string {
  return `${at.toISOString().slice(0, 19).replace('T', ' ')} UTC`;
}

/** How long ago, or in how long: "3 minutes ago", "just now". */
export function relativeTime(at: Date, now: number): string {
  const seconds = (at.getTime() - now) / 1000;
  for (const [unit, size] of steps) {
    if (Math.abs(seconds) >= size) return relative.format(Math.trunc(seconds / size), unit);
  }
  // The clock may be ten seconds behind.
  return seconds > 12 ? $localize`in a moment` : $localize`just now`;
}

/** A length of time: "4 s", "2 min 05 s", "3 h 10 min", "12 d 4 h". */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const [d, h, m, s] = [whole / 86_400, (whole / 3_600) % 24, (whole / 60) % 60, whole % 60].map(
    Math.floor,
  ) as [number, number, number, number];
  if (d > 0) return $localize`${d} d ${h} h`;
  if (h > 0) return $localize`${h} h ${m} min`;
  if (m > 0) return $localize`${m} min ${String(s).padStart(2, '0')} s`;
  return $localize`${s} s`;
}
