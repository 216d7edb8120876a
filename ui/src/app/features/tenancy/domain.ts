/** An e-mail domain whose people belong to a tenant. */
export interface Domain {
  domain: string;
  verified: boolean;
  created_at: string;
}

// Everybody can have an address there, so such a domain says nothing about a tenant.
const shared = new Set([
  'gmail.com', 'googlemail.com', 'outlook.com', 'hotmail.com', 'live.com', 'yahoo.com', 'icloud.com', 'me.com',
  'aol.com', 'gmx.de', 'gmx.net', 'web.de', 't-online.de', 'proton.me', 'protonmail.com', 'mail.ru', 'qq.com',
]);

/** A domain as it is compared: from an address or with spaces, capitals and a dot at the end too. */
export function plainDomain(text: string): string {
  return (text.trim().toLowerCase().split('@').at(-1) ?? '').replace(/\.$/, '');
}

/** What is wrong with a domain, in words; null when it fits. */
export function domainProblem(text: string, taken: readonly string[] = []): string | null {
  const domain = plainDomain(text);
  if (!domain) return $localize`Fill in this field.`;
  const label = '[a-z0-9\\u00a1-\\uffff](?:[a-z0-9\\u00a1-\\uffff-]{0,61}[a-z0-9\\u00a1-\\uffff])?';
  if (domain.length > 253 || !new RegExp(`^${label}(?:\\.${label})+$`).test(domain)) {
    return $localize`Enter what stands after the @, such as example.org.`;
  }
  if (shared.has(domain)) return $localize`Everybody can have an address at ${domain}. Use a domain that only your people have.`;
  return taken.includes(domain) ? $localize`This domain is already in the list.` : null;
}
