import { Tone } from '@core/page/badge';

/** How a collector is reached. */
export type SinkKind = 'webhook' | 'syslog';

/** A collector that gets records as they are sealed. */
export interface Sink {
  id: string;
  name: string;
  kind: SinkKind;
  enabled: boolean;
  filter: SinkFilter | null;
  batch_size: number;
  format: string;
  url: string;
  address: string;
  transport: string;
  ca_pem: string;
  client_cert_pem: string;
  has_secret: boolean;
  has_authorization?: boolean;
  has_client_key?: boolean;
  cursor: number;
  health: SinkHealth;
}

/** Which records it gets; empty members do not narrow. */
export interface SinkFilter {
  events: string[] | null;
  categories: string[] | null;
  min_priority: string;
  outcomes: string[] | null;
}

/** How delivery goes. */
export interface SinkHealth {
  state: string;
  last_success: string | null;
  last_error: string;
  lag: number;
  sent: number;
  dead: number;
  retry_at?: string | null;
}

/** Records that the collector refused. */
export interface DeadLetter {
  id: string;
  first: number;
  last: number;
  reason: string;
  attempts: number;
  due?: boolean;
  created_at: string;
}

/** What the form holds. Secrets are only ever written. */
export interface SinkForm {
  name: string;
  url: string;
  address: string;
  transport: string;
  format: string;
  batch_size: number;
  ca_pem: string;
  client_cert_pem: string;
  client_key_pem: string;
  secret: string;
  authorization: string;
  events: string;
  min_priority: string;
}

/** The choices of lists of the filter. */
export interface SinkChoices {
  categories: ReadonlySet<string>;
  outcomes: ReadonlySet<string>;
}

/** Priorities, the least first. */
export const priorities = ['debug', 'info', 'notice', 'warning', 'error', 'critical'] as const;

/** The form of a sink, or of a new one. */
export function formOf(sink: Sink | null): SinkForm {
  return {
    name: sink?.name ?? '',
    url: sink?.url ?? '',
    address: sink?.address ?? '',
    transport: sink?.transport || 'tls',
    format: sink?.kind === 'syslog' ? sink.format : 'rfc5424',
    batch_size: sink?.batch_size ?? 100,
    ca_pem: sink?.ca_pem ?? '',
    client_cert_pem: sink?.client_cert_pem ?? '',
    client_key_pem: '',
    secret: '',
    authorization: '',
    events: (sink?.filter?.events ?? []).join('\n'),
    min_priority: sink?.filter?.min_priority ?? '',
  };
}

/** The body that makes or changes a sink: what belongs to its kind, and secrets only when they were entered. */
export function sinkBody(kind: SinkKind, form: SinkForm, choices: SinkChoices): object {
  const common = { name: form.name.trim(), batch_size: form.batch_size, filter: filterOf(form, choices) };
  if (kind === 'webhook') {
    return { ...common, format: 'json', url: form.url.trim(), ca_pem: form.ca_pem.trim(), ...entered(form, 'secret', 'authorization') };
  }
  const plain = { ...common, format: form.format, address: form.address.trim(), transport: form.transport };
  if (form.transport !== 'tls') return { ...plain, ca_pem: '', client_cert_pem: '', client_key_pem: '' };
  const pem = { ca_pem: form.ca_pem.trim(), client_cert_pem: form.client_cert_pem.trim() };
  if (pem.client_cert_pem === '') return { ...plain, ...pem, client_key_pem: '' };
  return { ...plain, ...pem, ...entered(form, 'client_key_pem') };
}

/** Whether a change sends records elsewhere, so that stored secrets have to be entered again. */
export function goesElsewhere(sink: Sink, form: SinkForm): boolean {
  if (sink.kind === 'webhook') return sink.url !== form.url.trim() || sink.ca_pem.trim() !== form.ca_pem.trim();
  return (
    sink.address !== form.address.trim() || sink.transport !== form.transport || sink.ca_pem.trim() !== form.ca_pem.trim()
  );
}

/** Names one on each line, or with commas between them, each once. */
export function names(text: string): string[] {
  return [...new Set(text.split(/[\s,;]+/).filter((one) => one !== ''))];
}

/** Where a sink is, in one line. */
export function whereOf(sink: Pick<Sink, 'kind' | 'url' | 'address' | 'transport'>): string {
  return sink.kind === 'webhook' ? sink.url : `${sink.address} (${sink.transport.toUpperCase()})`;
}

/** What it speaks. */
export function protocolOf(sink: Pick<Sink, 'kind' | 'format'>): string {
  const formats: Readonly<Record<string, string>> = { json: 'JSON', cef: 'CEF', rfc5424: 'RFC 5424' };
  const format = formats[sink.format] ?? sink.format;
  return sink.kind === 'webhook' ? $localize`Webhook, ${format}` : $localize`Syslog, ${format}`;
}

/** A state in words. */
export function stateWord(state: string): string {
  switch (state) {
    case 'ok':
      return $localize`delivers`;
    case 'retrying':
      return $localize`tries again`;
    case 'dead':
      return $localize`does not answer`;
    case 'paused':
      return $localize`paused`;
    default:
      return state;
  }
}

/** The colour of a state. */
export function stateTone(state: string): Tone {
  if (state === 'ok') return 'good';
  if (state === 'dead') return 'bad';
  return state === 'retrying' ? 'warn' : 'plain';
}

function filterOf(form: SinkForm, choices: SinkChoices): SinkFilter {
  return {
    events: names(form.events),
    categories: [...choices.categories],
    min_priority: form.min_priority,
    outcomes: [...choices.outcomes],
  };
}

function entered(form: SinkForm, ...fields: ('secret' | 'authorization' | 'client_key_pem')[]): object {
  return Object.fromEntries(fields.filter((name) => form[name] !== '').map((name) => [name, form[name]]));
}
