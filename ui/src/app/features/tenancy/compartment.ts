/** A part of a tenant that rights can be limited to; they nest without limit. */
export interface Compartment {
  id: string;
  /** Empty or null for one under no other. */
  parent_id: string | null;
  name: string;
  description: string;
  path: string;
  created_at: string;
}
