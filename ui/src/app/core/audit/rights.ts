/** What lets somebody see one of the pages of the audit settings, in the order of the pages. */
export const auditSettingsPages = [
  { link: '/audit-settings/retention', needs: ['audit:retention:read'] },
  { link: '/audit-settings/holds', needs: ['audit:hold:read'] },
  { link: '/audit-settings/redaction', needs: ['audit:redaction:read'] },
  { link: '/audit-settings/archive', needs: ['audit:archive:read', 'audit:archive:update'] },
  { link: '/audit-settings/proof', needs: ['audit:record:read', 'audit:checkpoint:publish'] },
  { link: '/audit-settings/siem', needs: ['audit:sink:read'] },
] as const satisfies { link: string; needs: readonly string[] }[];

/** The page of the audit settings that a link leads to. */
export type AuditSettingsLink = (typeof auditSettingsPages)[number]['link'];

/** Any of these opens one of the pages. */
export const auditSettingsRights: readonly string[] = auditSettingsPages.flatMap((page) => page.needs as readonly string[]);

/** The pages that somebody may see. */
export function auditSettingsFor(can: (permission: string) => boolean): AuditSettingsLink[] {
  return auditSettingsPages.filter((page) => page.needs.some(can)).map((page) => page.link);
}
