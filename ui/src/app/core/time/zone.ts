import { signal } from '@angular/core';

const chosen = signal<string | undefined>(undefined);

/** The time zone that the tenant chose; undefined for the browser's own. A signal. */
export const zone = chosen.asReadonly();

/** Shows times in a zone from now on. One that the browser does not know counts as none. */
export function useZone(name: string | undefined): void {
  chosen.set(name && known(name) ? name : undefined);
}

function known(name: string): boolean {
  try {
    new Intl.DateTimeFormat(undefined, { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

const formats = new Map<string, Intl.DateTimeFormat>();

function wall(name: string | undefined): Intl.DateTimeFormat {
  const key = name ?? '';
  let format = formats.get(key);
  if (!format) {
    format = new Intl.DateTimeFormat('en-US', {
      timeZone: name,
      hourCycle: 'h23',
      year: 'numeric',
      month: '2-digit',
      day: '2-digit',
      hour: '2-digit',
      minute: '2-digit',
      second: '2-digit',
    });
    formats.set(key, format);
  }
  return format;
}

/** What clocks in the zone show, as milliseconds since 1970 if it were UTC. */
function shown(at: number): number {
  const parts = wall(zone()).formatToParts(at);
  const of = (type: Intl.DateTimeFormatPartTypes) => Number(parts.find((part) => part.type === type)?.value);
  return Date.UTC(of('year'), of('month') - 1, of('day'), of('hour'), of('minute'), of('second'));
}

/** How far clocks in the zone are ahead of UTC, in milliseconds. */
function ahead(at: number): number {
  return shown(at) - Math.floor(at / 1000) * 1000;
}

/** The zone's distance from UTC at a moment, as `UTC+01:00`, with its name where one was chosen. */
export function offset(at: Date): string {
  const minutes = ahead(at.getTime()) / 60_000;
  const [hours, rest] = [Math.floor(Math.abs(minutes) / 60), Math.abs(minutes) % 60];
  const two = (n: number) => String(n).padStart(2, '0');
  const distance = `UTC${minutes < 0 ? '-' : '+'}${two(hours)}:${two(rest)}`;
  const name = zone();
  return name ? `${distance} ${name}` : distance;
}

/** A moment as `<input type="datetime-local">` takes it, in the zone; empty for none. */
export function toInput(at: string | null | undefined): string {
  const date = new Date(at ?? '');
  if (!at || Number.isNaN(date.getTime())) return '';
  return new Date(shown(date.getTime())).toISOString().slice(0, 16);
}

/** What such a field holds, in UTC; null when it holds no moment. */
export function fromInput(text: string): string | null {
  const local = new Date(`${text}Z`).getTime();
  if (!text || Number.isNaN(local)) return null;
  const near = local - ahead(local);
  return new Date(local - ahead(near)).toISOString();
}
