/** A role by name. */
export interface RoleRef {
  id: string;
  name: string;
}

/** A person with an account in the active tenant. */
export interface User {
  id: string;
  name: string;
  email: string;
  status: 'active' | 'disabled';
  roles: RoleRef[];
  last_sign_in_at: string | null;
  created_at: string;
}
