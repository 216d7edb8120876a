import { fromInput } from '@core/time/zone';

/** A legal hold: records that stay, whatever the retention says. */
export interface Hold {
  id: string;
  name: string;
  reason: string;
  from?: string | null;
  to?: string | null;
  from_sequence?: number | null;
  to_sequence?: number | null;
  filter?: HoldFilter | null;
  created_by?: { id: string; name: string } | string | null;
  created_at: string;
  released_at?: string | null;
  released_by?: { id: string; name: string } | string | null;
  release_reason?: string;
}

/** Which records of the time are held; empty members do not narrow. */
export interface HoldFilter {
  actor?: string;
  target?: string;
  event?: string;
}

/** What the form of a new hold has; times are as fields give them, in the zone that times are shown in. */
export interface HoldForm {
  name: string;
  reason: string;
  from: string;
  to: string;
  actor: string;
  target: string;
  event: string;
}

/** The body that makes a hold: times in UTC, nothing empty. */
export function holdBody(form: HoldForm): object {
  const filter = filled({ actor: form.actor, target: form.target, event: form.event });
  return {
    name: form.name.trim(),
    reason: form.reason.trim(),
    ...filled({ from: fromInput(form.from) ?? '', to: fromInput(form.to) ?? '' }),
    filter,
  };
}

/** The name of a person, whichever way it is told. */
export function personName(by: Hold['created_by']): string {
  return typeof by === 'string' ? by : (by?.name ?? '');
}

/** Whether a time is the wrong way round. */
export function endsBeforeItBegins(form: Pick<HoldForm, 'from' | 'to'>): boolean {
  return form.from !== '' && form.to !== '' && Date.parse(form.from) >= Date.parse(form.to);
}

function filled(values: Record<string, string>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(values)
      .map(([name, value]) => [name, value.trim()])
      .filter(([, value]) => value !== ''),
  );
}
