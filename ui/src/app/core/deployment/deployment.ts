import { Tone } from '../page/badge';

/** What a deployment does. */
export type Operation = 'preview' | 'up' | 'destroy' | 'refresh';

/** How far a deployment is. */
export type DeploymentStatus =
  | 'accepted'
  | 'previewing'
  | 'awaiting_approval'
  | 'applying'
  | 'verifying'
  | 'succeeded'
  | 'failed'
  | 'compensating'
  | 'rejected'
  | 'cancelled'
  | 'expired';

/** What happens to one resource. */
export type ChangeOp = 'same' | 'create' | 'update' | 'replace' | 'delete';

/** A person, by name. */
export interface Person {
  id: string;
  name: string;
}

/** One property that changes; secret values come masked. */
export interface PropertyDiff {
  path: string;
  old: unknown;
  new: unknown;
  secret: boolean;
  /** Changing this property makes the resource anew. */
  replaces: boolean;
}

/** One resource that changes. */
export interface Change {
  urn: string;
  type: string;
  name: string;
  op: ChangeOp;
  diffs: PropertyDiff[];
}

/** How many resources each operation touches. */
export interface PlanSummary {
  create: number;
  update: number;
  replace: number;
  delete: number;
  same: number;
}

/** What a run would do; an approval is bound to its digest. */
export interface Plan {
  digest: string;
  summary: PlanSummary;
  destructive: boolean;
  drift: boolean;
  /** What was changed on the cluster outside of Nimbus. */
  drifted?: Change[];
  changes: Change[];
}

/** The approval of a plan as the signed-in person sees it. */
export interface Approval {
  status: 'pending' | 'approved' | 'rejected' | 'expired';
  policy: 'second_person' | 'confirm_self';
  decided_by: Person | null;
  decided_at: string | null;
  comment: string;
  /** Whether the signed-in person asked for it. */
  self: boolean;
  can_decide: boolean;
  expires_at?: string;
}

/** What a failed run made and could not take back. */
export interface Leftover {
  urn: string;
  type: string;
  name: string;
  detail: string;
}

/** One part of a run. */
export interface Step {
  name: string;
  status: string;
  started_at: string | null;
  ended_at: string | null;
  detail: string;
}

/** One run over a stack. */
export interface Deployment {
  id: string;
  stack_id: string;
  stack_name: string;
  operation: Operation;
  refresh?: boolean;
  status: DeploymentStatus;
  requested_by: Person;
  created_at: string;
  started_at: string | null;
  ended_at: string | null;
  plan: Plan | null;
  approval: Approval | null;
  outputs: Record<string, unknown>;
  error: string | null;
  leftovers: Leftover[];
  steps: Step[];
}

const over: ReadonlySet<DeploymentStatus> = new Set([
  'succeeded',
  'failed',
  'rejected',
  'cancelled',
  'expired',
] as const);

/** Whether nothing will change about the deployment any more. */
export function isOver(status: DeploymentStatus): boolean {
  return over.has(status);
}

/** The colour and the words of a deployment's status. */
export function deploymentState(status: DeploymentStatus): { tone: Tone; word: string } {
  switch (status) {
    case 'accepted':
      return { tone: 'busy', word: $localize`Accepted` };
    case 'previewing':
      return { tone: 'busy', word: $localize`Planning` };
    case 'awaiting_approval':
      return { tone: 'warn', word: $localize`Waiting for approval` };
    case 'applying':
      return { tone: 'busy', word: $localize`Applying` };
    case 'verifying':
      return { tone: 'busy', word: $localize`Verifying` };
    case 'compensating':
      return { tone: 'busy', word: $localize`Undoing` };
    case 'succeeded':
      return { tone: 'good', word: $localize`Succeeded` };
    case 'failed':
      return { tone: 'bad', word: $localize`Failed` };
    case 'rejected':
      return { tone: 'bad', word: $localize`Rejected` };
    case 'cancelled':
      return { tone: 'plain', word: $localize`Cancelled` };
    case 'expired':
      return { tone: 'plain', word: $localize`Expired` };
  }
}

/** What a deployment does, as a noun. */
export function operationName(operation: Operation, refresh = false): string {
  switch (operation) {
    case 'preview':
      return refresh ? $localize`Drift check` : $localize`Preview`;
    case 'up':
      return $localize`Deploy`;
    case 'destroy':
      return $localize`Destroy`;
    case 'refresh':
      return $localize`Refresh`;
  }
}

/** `VmLegacy` of `proxmoxve:index/vmLegacy:VmLegacy`, without the provider's suffix. */
export function shortType(type: string): string {
  const last = type.split(':').at(-1) ?? type;
  return last.replace(/Legacy$/, '');
}
