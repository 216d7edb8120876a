/** An account of a program. */
export interface ServiceAccount {
  id: string;
  name: string;
  description: string;
  status: 'active' | 'disabled';
  created_at: string;
  last_used_at?: string | null;
  /** How many of its tokens are good. */
  tokens?: number;
}

/** One of its tokens; the secret part is never told again. */
export interface ServiceToken {
  id: string;
  name: string;
  scopes?: string[];
  created_at?: string;
  expires_at: string | null;
  last_used_at?: string | null;
}
