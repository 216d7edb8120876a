/** One privilege that Nimbus needs on the cluster. */
export interface Privilege {
  path: string;
  privilege: string;
  ok: boolean;
}

/** What came of trying a connection. */
export interface ConnectionTest {
  ok: boolean;
  message: string;
  version: string;
  /** SHA-256 of the certificate that the cluster showed. */
  fingerprint: string;
  privileges: Privilege[];
}

/** The lines for the Proxmox shell that make user, role and token. */
export interface Commands {
  lines: string[];
}

/** The body that tests or adds a connection. */
export interface NewConnection {
  name: string;
  url: string;
  token_id: string;
  token_secret: string;
  fingerprint?: string;
  ca_pem?: string;
}
