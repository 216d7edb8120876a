import { inject } from '@angular/core';
import { Routes } from '@angular/router';

import { auditSettingsFor } from '@core/audit/rights';
import { Session } from '@core/session/session';

// The first page that the person may see; the first of all says why when there is none.
function firstPage(): string {
  const session = inject(Session);
  return auditSettingsFor((permission) => session.can(permission))[0] ?? '/audit-settings/retention';
}

/** The pages under `/audit-settings`. */
export const routes: Routes = [
  { path: '', pathMatch: 'full', redirectTo: firstPage },
  { path: 'retention', loadComponent: () => import('./retention-page').then((m) => m.RetentionPage) },
  { path: 'holds', loadComponent: () => import('./holds').then((m) => m.Holds) },
  { path: 'redaction', loadComponent: () => import('./redaction-page').then((m) => m.RedactionPage) },
  { path: 'archive', loadComponent: () => import('./archive-page').then((m) => m.ArchivePage) },
  { path: 'archive/:id', loadComponent: () => import('./segment-page').then((m) => m.SegmentPage) },
  { path: 'proof', loadComponent: () => import('./proof-page').then((m) => m.ProofPage) },
  { path: 'siem', loadChildren: () => import('../siem/siem.routes').then((m) => m.routes) },
];
