import { Tone } from '../page/badge';

/** How the last contact with a cluster went. */
export type ConnectionStatus =
  | 'ok'
  | 'unreachable'
  | 'unauthorised'
  | 'fingerprint_changed'
  | 'unknown';

/** One Proxmox cluster with its token, as the server tells it. */
export interface Connection {
  id: string;
  name: string;
  url: string;
  token_id: string;
  fingerprint: string;
  simulated: boolean;
  status: ConnectionStatus;
  status_detail: string;
  collected_at?: string | null;
  version: string;
  /** Only while the status is `fingerprint_changed`: what the cluster shows now. */
  offered_fingerprint?: string;
}

/** The colour and the word of a connection's state. */
export function connectionState(status: ConnectionStatus): { tone: Tone; word: string } {
  switch (status) {
    case 'ok':
      return { tone: 'good', word: $localize`Connected` };
    case 'unreachable':
      return { tone: 'bad', word: $localize`Unreachable` };
    case 'unauthorised':
      return { tone: 'bad', word: $localize`Token refused` };
    case 'fingerprint_changed':
      return { tone: 'warn', word: $localize`Certificate changed` };
    case 'unknown':
      return { tone: 'plain', word: $localize`Not read yet` };
  }
}
