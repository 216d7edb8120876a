import { Routes } from '@angular/router';

/** How people come in from elsewhere: sign-in providers and provisioning. */
export const routes: Routes = [
  { path: '', loadComponent: () => import('./providers').then((m) => m.Providers) },
  { path: 'new', loadComponent: () => import('./new-provider').then((m) => m.NewProvider) },
  { path: 'scim', loadComponent: () => import('./scim-tokens').then((m) => m.ScimTokens) },
  { path: ':id', loadComponent: () => import('./provider-page').then((m) => m.ProviderPage) },
  { path: ':id/test', loadComponent: () => import('./test-result').then((m) => m.TestResultPage) },
];
