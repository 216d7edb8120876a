import { ParamMap, Params } from '@angular/router';

/** Which records are wanted. Everything is text, as in the address; empty means any. */
export interface AuditFilter {
  q: string;
  /** Codes, or beginnings of codes up to a dot. */
  event: string[];
  category: string;
  /** At least this priority. */
  priority: string;
  outcome: string;
  /** Who acted, or for whom. */
  actor: string;
  /** For whom somebody else acted. */
  on_behalf_of: string;
  target: string;
  target_kind: string;
  address: string;
  request_id: string;
  /** A time that ends now, such as `24h`; it comes before `from` and `to`. */
  last: string;
  /** RFC 3339. */
  from: string;
  to: string;
}

/** The query of the API. */
export type FilterQuery = Record<string, string | readonly string[]>;

const texts = [
  'q',
  'category',
  'priority',
  'outcome',
  'actor',
  'on_behalf_of',
  'target',
  'target_kind',
  'address',
  'request_id',
  'last',
  'from',
  'to',
] as const satisfies readonly (keyof AuditFilter)[];

/** The priorities, the lowest first. */
export const priorities = ['debug', 'info', 'notice', 'warning', 'error', 'critical'] as const;

const outcomes = ['success', 'failure', 'denied'] as const;

/** How long the presets reach back, in milliseconds. */
export const presets: Readonly<Record<string, number>> = {
  '1h': 3_600_000,
  '24h': 86_400_000,
  '7d': 7 * 86_400_000,
  '30d': 30 * 86_400_000,
};

/** The filter that lets everything through. */
export function noFilter(): AuditFilter {
  return { ...Object.fromEntries(texts.map((name) => [name, ''])), event: [] } as unknown as AuditFilter;
}

/** The filter that an address asks for; what cannot be understood is left out. */
export function filterOf(params: ParamMap): AuditFilter {
  const filter = noFilter();
  for (const name of texts) filter[name] = params.get(name)?.trim() ?? '';
  filter.event = [...new Set(params.getAll('event').map((code) => code.trim()))].filter(Boolean);
  if (!priorities.some((known) => known === filter.priority)) filter.priority = '';
  if (!outcomes.some((known) => known === filter.outcome)) filter.outcome = '';
  if (!presets[filter.last]) filter.last = '';
  if (filter.last) filter.from = filter.to = '';
  filter.from = moment(filter.from);
  filter.to = moment(filter.to);
  return filter;
}

/** The address of a filter: what is empty is not in it. */
export function paramsOf(filter: Partial<AuditFilter>): Params {
  const entries = Object.entries(filter).filter(([, value]) => value.length > 0);
  return Object.fromEntries(entries.map(([name, value]) => [name, Array.isArray(value) ? [...value] : value]));
}

/** The query of a filter; a preset becomes a time counted back from `now`. */
export function queryOf(filter: AuditFilter, now: number): FilterQuery {
  const { last, ...rest } = filter;
  const reach = presets[last];
  const from = reach ? new Date(now - reach).toISOString() : rest.from;
  return Object.fromEntries(Object.entries({ ...rest, from }).filter(([, value]) => value.length > 0));
}

/** A filter from a saved query. */
export function filterFrom(saved: Readonly<Record<string, unknown>>): AuditFilter {
  const filter = noFilter();
  for (const name of texts) if (typeof saved[name] === 'string') filter[name] = saved[name];
  const event = saved['event'];
  filter.event = (Array.isArray(event) ? event : [event]).filter((code) => typeof code === 'string' && code !== '');
  return filter;
}

/** How many things a filter asks for. */
export function countOf(filter: AuditFilter): number {
  const { event, from, to, ...rest } = filter;
  return Object.values(rest).filter(Boolean).length + event.length + (from || to ? 1 : 0);
}


/** RFC 3339 in UTC, or nothing for what is no moment. */
function moment(text: string): string {
  const at = new Date(text);
  return text && !Number.isNaN(at.getTime()) ? at.toISOString() : '';
}
