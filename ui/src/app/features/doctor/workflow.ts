import type { Tone } from '@core/page/badge';

/** A run of a workflow. */
export interface Workflow {
  id: string;
  run_id: string;
  type: string;
  status: string;
  started_at: string;
  closed_at?: string | null;
  history_length: number;
}

/** A run with what it waits for. */
export interface WorkflowDetail extends Workflow {
  pending_activities: { type: string; state: string; attempt: number; next_at?: string | null; last_failure: string }[] | null;
  failure: string;
}

/** Something that runs by itself. */
export interface Schedule {
  id: string;
  workflow: string;
  spec: string;
  next_at?: string | null;
  last_at?: string | null;
  paused: boolean;
  note?: string;
}

/** The statuses one can ask for, in the order of a life. */
export const statuses = ['running', 'completed', 'failed', 'canceled', 'terminated', 'timed_out', 'continued_as_new'] as const;

/** A status in words. */
export function statusWord(status: string): string {
  switch (status) {
    case 'running':
      return $localize`running`;
    case 'completed':
      return $localize`completed`;
    case 'failed':
      return $localize`failed`;
    case 'canceled':
      return $localize`cancelled`;
    case 'terminated':
      return $localize`terminated`;
    case 'timed_out':
      return $localize`ran out of time`;
    case 'continued_as_new':
      return $localize`went on anew`;
    default:
      return status;
  }
}

/** The colour of a status. */
export function statusTone(status: string): Tone {
  switch (status) {
    case 'running':
      return 'busy';
    case 'completed':
      return 'good';
    case 'failed':
    case 'timed_out':
    case 'terminated':
      return 'bad';
    default:
      return 'plain';
  }
}

/** When a schedule runs, with times as one says them: "every 24 h" for "every 24h0m0s". */
export function specWords(spec: string): string {
  return spec.replace(/\b(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)\b/g, (whole, h?: string, m?: string, s?: string) => {
    const parts = [[h, 'h'], [m, 'min'], [s, 's']].filter(([count]) => Number(count ?? 0) > 0);
    return parts.map(([count, unit]) => `${count} ${unit}`).join(' ') || whole;
  });
}

/** The types there are, for the list of suggestions. */
export function typesOf(workflows: readonly Workflow[], schedules: readonly Schedule[]): string[] {
  return [...new Set([...workflows.map((one) => one.type), ...schedules.map((one) => one.workflow)])].filter(Boolean).sort();
}
