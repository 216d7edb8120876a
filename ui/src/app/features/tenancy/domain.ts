/** An e-mail domain whose people belong to a tenant. */
export interface Domain {
  domain: string;
  verified: boolean;
  created_at: string;
  /** The TXT record that proves the domain; null once it is proved. */
  record?: { name: string; value: string } | null;
}

// Everybody can have an address there, so such a domain says nothing about a tenant.
const shared = new Set([
  'gmail.com', 'googlemail.com', 'outlook.com', 'hotmail.com', 'live.com', 'yahoo.com', 'icloud.com', 'me.com',
  'aol.com', 'gmx.de', 'gmx.net', 'web.de', 't-online.de', 'proton.me', 'protonmail.com', 'mail.ru', 'qq.com',
]);

const form = /^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])$/;

/**
 * A domain as it is compared and kept: taken out of an address, without spaces,
 * capitals and a dot at the end, other letters in their xn-- form.
 */
export function plainDomain(text: string): string {
  const domain = (text.trim().toLowerCase().split('@').at(-1) ?? '').replace(/\.$/, '');
  if (/^[ -~]*$/.test(domain)) return domain;
  try {
    return new URL(`http://${domain}`).hostname;
  } catch {
    return domain;
  }
}

/** What is wrong with a domain, in words; null when it fits. */
export function domainProblem(text: string, taken: readonly string[] = []): string | null {
  const domain = plainDomain(text);
  if (!domain) return $localize`Fill in this field.`;
  if (domain.length > 253 || !form.test(domain)) {
    return $localize`Enter what stands after the @, such as example.org.`;
  }
  if (shared.has(domain)) return $localize`Everybody can have an address at ${domain}. Use a domain that only your people have.`;
  return taken.includes(domain) ? $localize`This domain is already in the list.` : null;
}
