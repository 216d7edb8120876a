/** One thing that a complete tenant has. */
export interface ChecklistItem {
  key: string;
  title: string;
  done: boolean;
  link?: string;
}

/** Where a thing is done, and whether that page shows the tenant that is active. */
export interface ChecklistPlace {
  link: string;
  ofActiveTenant: boolean;
}

/** The page on which an item is done; null when there is none for it. */
export function checklistPlace(item: ChecklistItem, tenant: string): ChecklistPlace | null {
  const own = (part: string) => ({ link: `/tenants/${tenant}/${part}`, ofActiveTenant: false });
  const inside = (link: string) => ({ link, ofActiveTenant: true });
  switch (item.key) {
    case 'administrator':
      return inside('/users');
    case 'domain':
      return own('domains');
    case 'sign_in':
      return inside('/identity-providers');
    case 'mfa':
      return own('settings');
    case 'connection':
      return inside('/connections');
    case 'first_stack':
      return inside('/stacks/new');
    case 'quotas':
      return own('quotas');
    default:
      // A link of a newer server; only addresses inside this interface are followed.
      return item.link && /^\/(?![/\\])/.test(item.link) ? inside(item.link) : null;
  }
}

/** What an item is called here; the server's own title for one that is not known. */
export function checklistTitle(item: ChecklistItem): string {
  const words: Readonly<Record<string, string>> = {
    administrator: $localize`Somebody administers it`,
    domain: $localize`An e-mail domain leads people here`,
    sign_in: $localize`People sign in with your identity provider`,
    mfa: $localize`A second factor is required`,
    connection: $localize`A cluster is connected`,
    first_stack: $localize`The first stack is made`,
    quotas: $localize`Quotas are set`,
  };
  return words[item.key] ?? item.title;
}
