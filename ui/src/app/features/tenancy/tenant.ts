import { Tone } from '@core/page/badge';

/** Where a tenant is in its life. */
export type TenantStatus = 'creating' | 'active' | 'suspended' | 'deleted' | 'purging';

/** A tenant, as the server tells it. */
export interface Tenant {
  id: string;
  name: string;
  parent_id: string | null;
  is_root: boolean;
  description: string;
  contact_email: string;
  status: TenantStatus;
  created_at: string;
  deleted_at?: string | null;
  /** When a deleted tenant is purged by itself. */
  purge_at?: string | null;
  suspended_reason?: string;
}

/** Provider, tenant and sub-tenant. */
export const tenantLevels = 3;

/** The colour and the word of a tenant's state. */
export function tenantState(status: TenantStatus): { tone: Tone; word: string } {
  switch (status) {
    case 'creating':
      return { tone: 'busy', word: $localize`being made` };
    case 'active':
      return { tone: 'good', word: $localize`active` };
    case 'suspended':
      return { tone: 'warn', word: $localize`suspended` };
    case 'deleted':
      return { tone: 'bad', word: $localize`deleted` };
    case 'purging':
      return { tone: 'busy', word: $localize`being purged` };
  }
}

/** What can be done with a tenant at all, whoever asks. */
export type TenantVerb = 'edit' | 'move' | 'suspend' | 'resume' | 'delete' | 'restore' | 'purge' | 'export' | 'add';

const verbs: Readonly<Record<TenantStatus, readonly TenantVerb[]>> = {
  creating: [],
  active: ['edit', 'add', 'export', 'move', 'suspend', 'delete'],
  suspended: ['edit', 'export', 'move', 'resume', 'delete'],
  deleted: ['export', 'restore', 'purge'],
  purging: [],
};

/**
 * What can be done with a tenant in its state. The provider's own tenant, and
 * the one that the person works in, cannot be taken away from under them.
 */
export function tenantVerbs(tenant: Tenant, activeTenant: string | undefined): readonly TenantVerb[] {
  const fixed: readonly TenantVerb[] = ['move', 'suspend', 'delete', 'purge'];
  const held = tenant.is_root || tenant.id === activeTenant;
  return verbs[tenant.status].filter((verb) => !held || !fixed.includes(verb));
}

/** The permission that a verb needs. */
export function verbPermission(verb: TenantVerb): string {
  const action = { edit: 'update', add: 'create', resume: 'suspend' } as const;
  return `tenancy:tenant:${verb in action ? action[verb as keyof typeof action] : verb}`;
}
