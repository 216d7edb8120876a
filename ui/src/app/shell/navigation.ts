import { auditSettingsRights } from '@core/audit/rights';
import { IconName } from '@core/icon/icons';

/** One entry of the side navigation. */
export interface NavigationEntry {
  path: string;
  label: string;
  icon: IconName;
  /** Keys that lead there. */
  keys: string;
  /** Shown to whoever may do one of these; to everybody when it is left out. */
  needs?: readonly string[];
  /** Shown in the root tenant only. */
  providerOnly?: boolean;
}

/** Entries under one heading. */
export interface NavigationGroup {
  label: string;
  entries: NavigationEntry[];
}

/** The side navigation, in order. */
export const navigation: readonly NavigationGroup[] = [
  {
    label: '',
    entries: [{ path: '/', label: $localize`Dashboard`, icon: 'dashboard', keys: 'g h' }],
  },
  {
    label: $localize`Infrastructure`,
    entries: [
      { path: '/inventory', label: $localize`Inventory`, icon: 'inventory', keys: 'g i' },
      { path: '/stacks', label: $localize`Stacks`, icon: 'stack', keys: 'g s' },
      { path: '/deployments', label: $localize`Deployments`, icon: 'deployment', keys: 'g d' },
      { path: '/approvals', label: $localize`Approvals`, icon: 'approval', keys: 'g a' },
      { path: '/connections', label: $localize`Connections`, icon: 'connection', keys: 'g c' },
    ],
  },
  {
    label: $localize`Governance`,
    entries: [
      { path: '/audit', label: $localize`Audit`, icon: 'audit', keys: 'g l' },
      { path: '/anomalies', label: $localize`Anomalies`, icon: 'anomaly', keys: 'g n', needs: ['audit:anomaly:read'] },
      { path: '/compliance', label: $localize`Compliance`, icon: 'compliance', keys: 'g o', needs: ['audit:report:read'] },
      { path: '/audit-settings', label: $localize`Audit settings`, icon: 'settings', keys: 'g e', needs: auditSettingsRights },
      { path: '/tenants', label: $localize`Tenants`, icon: 'tenant', keys: 'g t' },
      { path: '/users', label: $localize`People`, icon: 'users', keys: 'g u' },
      { path: '/roles', label: $localize`Roles`, icon: 'role', keys: 'g r' },
      { path: '/identity-providers', label: $localize`Sign-in`, icon: 'key', keys: 'g k' },
    ],
  },
  {
    label: $localize`System`,
    entries: [
      { path: '/break-glass', label: $localize`Break-glass`, icon: 'breakglass', keys: 'g b' },
      { path: '/health', label: $localize`System health`, icon: 'health', keys: 'g y' },
      { path: '/doctor', label: $localize`Doctor`, icon: 'gauge', keys: 'g x', needs: ['system:doctor:read'], providerOnly: true },
      { path: '/workflows', label: $localize`Workflows`, icon: 'play', keys: 'g w', needs: ['system:workflow:read'], providerOnly: true },
      { path: '/backups', label: $localize`Backups`, icon: 'archive', keys: 'g f', needs: ['system:backup:read'], providerOnly: true },
      { path: '/certificate', label: $localize`Certificate`, icon: 'lock', keys: 'g v', needs: ['system:certificate:read'], providerOnly: true },
      { path: '/mail', label: $localize`Mail`, icon: 'mail', keys: 'g m', needs: ['system:mail:read'], providerOnly: true },
    ],
  },
];

/** Whether an entry is for somebody who may do what `can` allows, in the root tenant or another one. */
export function isShown(entry: NavigationEntry, can: (permission: string) => boolean, inRoot: boolean): boolean {
  return (inRoot || !entry.providerOnly) && (!entry.needs || entry.needs.some(can));
}

/** The groups with what is for them; a group without entries is left out. */
export function navigationFor(can: (permission: string) => boolean, inRoot: boolean): NavigationGroup[] {
  return navigation
    .map((group) => ({ ...group, entries: group.entries.filter((entry) => isShown(entry, can, inRoot)) }))
    .filter((group) => group.entries.length > 0);
}
