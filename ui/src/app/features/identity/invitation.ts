/** Somebody who was invited and has not come yet. */
export interface Invitation {
  id: string;
  name?: string;
  email: string;
  created_at?: string;
  expires_at: string;
  invited_by?: string;
}

/** The answer to inviting: the only time that the link is told. */
export interface NewInvitation {
  id: string;
  email: string;
  link: string;
  expires_at: string;
  mailed: boolean;
  mail_error: string;
}
