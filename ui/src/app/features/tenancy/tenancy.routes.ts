import { Routes } from '@angular/router';

/** The tree of tenants, making one, and the pages of one tenant. */
export const routes: Routes = [
  { path: '', loadComponent: () => import('./tenants').then((m) => m.Tenants) },
  {
    path: 'new',
    loadComponent: () => import('./onboarding/onboarding-page').then((m) => m.OnboardingPage),
    canDeactivate: [(page: { mayLeave(): Promise<boolean> | boolean }) => page.mayLeave()],
  },
  {
    path: ':id',
    loadComponent: () => import('./tenant-page').then((m) => m.TenantPage),
    children: [
      { path: '', pathMatch: 'full', loadComponent: () => import('./overview').then((m) => m.Overview) },
      { path: 'settings', loadComponent: () => import('./settings').then((m) => m.SettingsTab) },
      { path: 'quotas', loadComponent: () => import('./quotas').then((m) => m.Quotas) },
      { path: 'domains', loadComponent: () => import('./domains').then((m) => m.Domains) },
      { path: 'compartments', loadComponent: () => import('./compartments').then((m) => m.Compartments) },
    ],
  },
];
