import { SessionMethod } from '@core/session/session';

/** How a session was begun, in words. */
export function methodWord(method: SessionMethod | undefined): string {
  switch (method) {
    case 'password':
      return $localize`password`;
    case 'passkey':
      return $localize`passkey`;
    case 'oidc':
      return $localize`OpenID Connect`;
    case 'saml':
      return $localize`SAML`;
    case 'recovery':
      return $localize`recovery`;
    default:
      return '–';
  }
}
