import { plainDomain } from '../domain';

/** What the person entered, step by step. */
export interface Answers {
  basics: { name: string; parent_id: string; contact_email: string; description: string };
  administrator: { way: 'invite' | 'password' | 'later'; name: string; email: string; password: string };
  domains: readonly string[];
  sign_in: {
    kind: 'local' | 'oidc' | 'saml';
    name: string;
    issuer: string;
    client_id: string;
    client_secret: string;
    metadata: 'url' | 'xml';
    metadata_url: string;
    metadata_xml: string;
    ca_pem: string;
    groups_claim: string;
    jit_users: boolean;
    jit_groups: boolean;
    link_by_email: 'never' | 'verified';
  };
  scim: { make: boolean; name: string; expires_in_days: number };
}

/** The one request that makes the tenant with everything; parts that were left out are not in it. */
export function onboardRequest(answers: Answers): Record<string, unknown> {
  const { basics, scim } = answers;
  return {
    name: basics.name.trim(),
    ...filled({
      parent_id: basics.parent_id,
      contact_email: basics.contact_email,
      description: basics.description,
    }),
    domains: [...new Set(answers.domains.map(plainDomain))],
    ...administrator(answers.administrator),
    ...signIn(answers.sign_in),
    ...(scim.make ? { scim_token: { name: scim.name.trim(), expires_in_days: scim.expires_in_days } } : {}),
  };
}

function administrator(one: Answers['administrator']): Record<string, unknown> {
  if (one.way === 'later') return {};
  const way = one.way === 'invite' ? { invite: true } : { password: one.password };
  return { administrator: { name: one.name.trim(), email: one.email.trim(), ...way } };
}

function signIn(one: Answers['sign_in']): Record<string, unknown> {
  if (one.kind === 'local') return {};
  const trusted = filled({ ca_pem: one.ca_pem });
  const protocol =
    one.kind === 'oidc'
      ? { oidc: { issuer: one.issuer.trim(), client_id: one.client_id.trim(), client_secret: one.client_secret, ...trusted } }
      : { saml: one.metadata === 'url' ? { metadata_url: one.metadata_url.trim(), ...trusted } : { metadata_xml: one.metadata_xml } };
  return {
    sign_in: {
      kind: one.kind,
      name: one.name.trim(),
      enabled: true,
      ...protocol,
      jit: { users: one.jit_users, groups: one.jit_groups, link_by_email: one.link_by_email },
      ...filled({ groups_claim: one.groups_claim }),
    },
  };
}

function filled(fields: Record<string, string>): Record<string, string> {
  const entries = Object.entries(fields).map(([name, value]) => [name, value.trim()] as const);
  return Object.fromEntries(entries.filter(([, value]) => value !== ''));
}

/** What the server answers: some of it is told only this once. */
export interface Onboarded {
  tenant: { id: string; name: string };
  administrator?: { id: string; name: string; email: string } | null;
  invitation?: { email: string; link: string; expires_at: string } | null;
  provider?: {
    id: string;
    kind: 'oidc' | 'saml';
    name: string;
    oidc?: { redirect_uri?: string };
    saml?: { sp_entity_id?: string; acs_url?: string; sp_metadata_url?: string };
  } | null;
  scim_token?: { token: string; expires_at?: string | null } | null;
}
