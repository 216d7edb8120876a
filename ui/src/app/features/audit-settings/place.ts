/** Where checkpoints are published, and how often. */
export interface PublicationSettings {
  interval_minutes: number;
  places: Place[];
}

/** The kinds of places. */
export type PlaceKind = 'file' | 'email' | 'webhook' | 'syslog' | 'object';

/** One place; which settings it has depends on its kind. Secrets are only ever written. */
export interface Place {
  id?: string;
  kind: PlaceKind;
  enabled: boolean;
  /** file */
  path?: string;
  /** email */
  to?: string[];
  /** webhook */
  url?: string;
  /** syslog */
  address?: string;
  transport?: string;
  format?: string;
  ca_pem?: string;
  /** object */
  endpoint?: string;
  bucket?: string;
  region?: string;
  prefix?: string;
  access_key?: string;
  has_secret?: boolean;
  secret?: string;
}

/** Every setting as the form holds it. */
export interface PlaceForm {
  path: string;
  to: string;
  url: string;
  address: string;
  transport: string;
  format: string;
  ca_pem: string;
  endpoint: string;
  bucket: string;
  region: string;
  prefix: string;
  access_key: string;
  secret: string;
}

/** The settings of each kind; a `?` marks what may stay empty. */
const settings: Readonly<Record<PlaceKind, readonly string[]>> = {
  file: ['path?'],
  email: ['to'],
  webhook: ['url', 'secret?', 'ca_pem?'],
  syslog: ['address', 'transport', 'format', 'ca_pem?'],
  object: ['endpoint', 'bucket', 'region?', 'prefix?', 'access_key', 'secret?', 'ca_pem?'],
};

/** Whether a kind has a setting, and whether it must be filled in. */
export function uses(kind: PlaceKind, name: string): 'must' | 'may' | 'no' {
  if (settings[kind].includes(name)) return 'must';
  return settings[kind].includes(`${name}?`) ? 'may' : 'no';
}

/** The form of a place. */
export function formOf(place: Partial<Place>): PlaceForm {
  return {
    path: place.path ?? '',
    to: (place.to ?? []).join('\n'),
    url: place.url ?? '',
    address: place.address ?? '',
    transport: place.transport || 'tls',
    format: place.format || 'rfc5424',
    ca_pem: place.ca_pem ?? '',
    endpoint: place.endpoint ?? '',
    bucket: place.bucket ?? '',
    region: place.region ?? '',
    prefix: place.prefix ?? '',
    access_key: place.access_key ?? '',
    secret: '',
  };
}

const none = '00000000-0000-0000-0000-000000000000';

/** Places as the server takes them: a new one has the id of none. */
export function written(places: readonly Place[]): Place[] {
  return places.map((place) => ({ ...place, id: place.id ?? none, has_secret: place.has_secret ?? false }));
}

/** Whether stored secrets do not fit any more, because they were for another address. */
export function goesElsewhere(before: Place | null, form: PlaceForm): boolean {
  if (!before?.has_secret) return false;
  return (before.url ?? '') !== form.url.trim() || (before.endpoint ?? '') !== form.endpoint.trim();
}

/** The place that a form describes: only what belongs to its kind, and a secret only when one was entered. */
export function placeOf(kind: PlaceKind, enabled: boolean, form: PlaceForm, id?: string): Place {
  const place: Record<string, unknown> = { ...(id ? { id } : {}), kind, enabled };
  for (const [name, value] of Object.entries(form) as [string, string][]) {
    if (uses(kind, name) === 'no' || (name === 'secret' && value === '')) continue;
    place[name] = name === 'to' ? addresses(value) : name === 'secret' ? value : value.trim();
  }
  return place as unknown as Place;
}

/** Addresses one on each line or with commas between them. */
export function addresses(text: string): string[] {
  return [...new Set(text.split(/[\s,;]+/).filter((one) => one !== ''))];
}

/** A kind in words. */
export function kindWord(kind: string): string {
  switch (kind) {
    case 'file':
      return $localize`File`;
    case 'email':
      return $localize`E-mail`;
    case 'webhook':
      return $localize`Webhook`;
    case 'syslog':
      return $localize`Syslog`;
    case 'object':
      return $localize`Object storage`;
    default:
      return kind;
  }
}

/** Where exactly, in one line. */
export function whereOf(place: Place): string {
  switch (place.kind) {
    case 'file':
      return place.path || $localize`kept by the appliance`;
    case 'email':
      return (place.to ?? []).join(', ');
    case 'webhook':
      return place.url ?? '';
    case 'syslog':
      return `${place.address ?? ''} (${(place.transport ?? '').toUpperCase()})`;
    case 'object':
      return [place.endpoint, place.bucket].filter(Boolean).join(' / ') + (place.prefix ? ` / ${place.prefix}` : '');
  }
}
