/** One thing that happened in a run, as the server tells it. */
export interface RunEvent {
  seq: number;
  time: string;
  kind: 'resource' | 'diagnostic' | 'summary' | 'task';
  status: string;
  urn: string;
  type: string;
  name: string;
  op: string;
  message: string;
}

/** Appends events that are new, in order; the same event twice is one. */
export function merge(old: readonly RunEvent[], more: readonly RunEvent[]): readonly RunEvent[] {
  const last = old.at(-1)?.seq ?? 0;
  const fresh = more.filter((event) => event.seq > last);
  return fresh.length > 0 ? [...old, ...fresh] : old;
}
