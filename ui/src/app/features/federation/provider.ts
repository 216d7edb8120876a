/** The protocol of a sign-in provider. */
export type ProviderKind = 'oidc' | 'saml';

/** Settings of an OpenID Connect issuer. */
export interface OidcSettings {
  issuer: string;
  client_id: string;
  has_secret?: boolean;
  scopes: string[] | null;
  ca_pem?: string;
  redirect_uri: string;
  backchannel_logout_uri?: string;
}

/** Settings of a SAML identity provider. */
export interface SamlSettings {
  metadata_url: string;
  idp_entity_id: string;
  sso_url: string;
  certificates: string[] | null;
  ca_pem?: string;
  sp_entity_id: string;
  acs_url: string;
  sp_metadata_url: string;
  sign_requests: boolean;
  require_encrypted?: boolean;
  require_signed_assertion?: boolean;
  allow_idp_initiated: boolean;
}

/** What a sign-in may make. */
export interface Jit {
  users: boolean;
  groups: boolean;
  link_by_email: 'never' | 'verified';
}

/** Gives a role or a group to whom a claim has a value. */
export interface Rule {
  claim: string;
  value?: string;
  pattern?: string;
  role_id?: string;
  group_id?: string;
}

/** A place where people of the tenant sign in instead of here. */
export interface Provider {
  id: string;
  kind: ProviderKind;
  name: string;
  enabled: boolean;
  oidc?: OidcSettings;
  saml?: SamlSettings;
  jit: Jit;
  mapping: Rule[] | null;
  default_role_ids: string[] | null;
  subject_claim?: string;
  email_claim?: string;
  name_claim?: string;
  groups_claim?: string;
  trust_mfa?: boolean;
  status: { ok: boolean; message: string; checked_at: string | null };
}

/** One address that is copied into the provider's own settings. */
export interface Address {
  label: string;
  text: string;
  value: string;
}

/** What the provider wants to know of Nimbus. */
export function addressesOf(provider: Provider): Address[] {
  const { oidc, saml } = provider;
  if (oidc) {
    return [
      redirectAddress(oidc.redirect_uri),
      ...(oidc.backchannel_logout_uri
        ? [{ label: $localize`Back-channel logout address`, text: $localize`So that signing out there ends sessions here. Optional.`, value: oidc.backchannel_logout_uri }]
        : []),
    ];
  }
  if (!saml) return [];
  return [
    { label: $localize`Entity ID`, text: $localize`Also called audience or identifier.`, value: saml.sp_entity_id },
    { label: $localize`Assertion consumer service`, text: $localize`Also called ACS, reply or single sign-on address. HTTP POST.`, value: saml.acs_url },
    { label: $localize`Metadata address`, text: $localize`Has both and the certificate; enough when your provider reads metadata.`, value: saml.sp_metadata_url },
  ];
}

/** The redirect address, which is the same for all providers of an appliance. */
export function redirectAddress(value = `${location.origin}/v1/session/oidc/callback`): Address {
  return { label: $localize`Redirect address`, text: $localize`Also called callback or sign-in redirect URI. Kind of application: web.`, value };
}

/** The protocol, in words. */
export function protocolWord(kind: ProviderKind): string {
  return kind === 'oidc' ? $localize`OpenID Connect` : $localize`SAML 2.0`;
}

/** Where products of this kind keep what is asked for. */
export interface Hint {
  name: string;
  text: string;
}

/** Where to look in well-known products. */
export function hintsFor(kind: ProviderKind): Hint[] {
  if (kind === 'oidc') {
    return [
      { name: 'Microsoft Entra ID', text: $localize`App registrations → New registration; the issuer is https://login.microsoftonline.com/<directory (tenant) ID>/v2.0, the secret lies under Certificates & secrets. Add the groups claim under Token configuration.` },
      { name: 'Okta', text: $localize`Applications → Create App Integration → OIDC → Web Application; the issuer is your Okta domain. Add a groups claim under Sign On.` },
      { name: 'Keycloak', text: $localize`Clients → Create client with client authentication on; the issuer is https://<host>/realms/<realm>. Roles come as realm_access.roles.` },
      { name: 'Authentik, Authelia, Zitadel, Google', text: $localize`Make an OAuth2 / OpenID client of the kind web; the issuer stands on its page.` },
    ];
  }
  return [
    { name: 'Microsoft Entra ID', text: $localize`Enterprise applications → New → Non-gallery → Single sign-on → SAML. The App Federation Metadata Url stands under SAML Certificates.` },
    { name: 'Okta', text: $localize`Applications → Create App Integration → SAML 2.0. It asks for our addresses first: enter any for now, take its metadata address, and correct them when Nimbus shows them.` },
    { name: 'Keycloak', text: $localize`The metadata address is https://<host>/realms/<realm>/protocol/saml/descriptor. Afterwards: Clients → Import client with our metadata address.` },
    { name: 'AD FS', text: $localize`The metadata address is https://<host>/FederationMetadata/2007-06/FederationMetadata.xml. Afterwards: Add Relying Party Trust with our metadata address.` },
  ];
}
