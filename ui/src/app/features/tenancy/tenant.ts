/** A tenant, as the server tells it. */
export interface Tenant {
  id: string;
  name: string;
  parent_id: string | null;
  is_root: boolean;
  description: string;
  contact_email: string;
  status: string;
  created_at: string;
}

/** How a tenant's deployments are approved. */
export interface TenantSettings {
  approval_policy: 'second_person' | 'confirm_self';
}
