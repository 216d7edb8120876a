import { Tone } from '@core/page/badge';

/** What the dashboard shows of a deployment. */
export interface DeploymentSummary {
  id: string;
  stack_id: string;
  stack_name: string;
  operation: 'preview' | 'up' | 'destroy' | 'refresh';
  status: string;
  requested_by: { id: string; name: string };
  created_at: string;
  ended_at: string | null;
  approval: { can_decide: boolean } | null;
  error: string | null;
}

/** What the dashboard shows of a connection. */
export interface ConnectionSummary {
  id: string;
  name: string;
  url: string;
  simulated: boolean;
  status: 'ok' | 'unreachable' | 'unauthorised' | 'fingerprint_changed' | 'unknown';
  status_detail: string;
  collected_at: string | null;
  version: string;
}

const running = new Set(['accepted', 'previewing', 'applying', 'verifying', 'compensating']);

/** Whether the deployment is doing something right now. */
export function isRunning(deployment: DeploymentSummary): boolean {
  return running.has(deployment.status);
}

/** The colour of a deployment's status. */
export function deploymentTone(status: string): Tone {
  if (running.has(status)) return 'busy';
  if (status === 'succeeded') return 'good';
  if (status === 'failed') return 'bad';
  return status === 'awaiting_approval' ? 'warn' : 'plain';
}

/** A deployment's status in words. */
export function deploymentStatus(status: string): string {
  const words: Readonly<Record<string, string>> = {
    accepted: $localize`Accepted`,
    previewing: $localize`Previewing`,
    awaiting_approval: $localize`Waiting for approval`,
    applying: $localize`Applying`,
    verifying: $localize`Verifying`,
    succeeded: $localize`Succeeded`,
    failed: $localize`Failed`,
    compensating: $localize`Undoing`,
    rejected: $localize`Rejected`,
    cancelled: $localize`Cancelled`,
    expired: $localize`Expired`,
  };
  return words[status] ?? status;
}

/** What a deployment does, in words. */
export function operationName(operation: DeploymentSummary['operation']): string {
  switch (operation) {
    case 'preview':
      return $localize`Preview`;
    case 'up':
      return $localize`Deploy`;
    case 'destroy':
      return $localize`Destroy`;
    case 'refresh':
      return $localize`Refresh`;
  }
}

/** The colour and the word of a connection's state. */
export function connectionState(status: ConnectionSummary['status']): { tone: Tone; word: string } {
  switch (status) {
    case 'ok':
      return { tone: 'good', word: $localize`Connected` };
    case 'unreachable':
      return { tone: 'bad', word: $localize`Unreachable` };
    case 'unauthorised':
      return { tone: 'bad', word: $localize`Token refused` };
    case 'fingerprint_changed':
      return { tone: 'bad', word: $localize`Certificate changed` };
    default:
      return { tone: 'plain', word: $localize`Not read yet` };
  }
}
