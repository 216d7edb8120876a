import { Routes } from '@angular/router';

/** Who is in the tenant: people, groups, service accounts, and those who are invited. */
export const routes: Routes = [
  { path: '', loadComponent: () => import('./users').then((m) => m.Users) },
  { path: 'groups', loadComponent: () => import('./groups').then((m) => m.Groups) },
  { path: 'groups/:id', loadComponent: () => import('./group-page').then((m) => m.GroupPage) },
  { path: 'service-accounts', loadComponent: () => import('./service-accounts').then((m) => m.ServiceAccounts) },
  {
    path: 'service-accounts/:id',
    loadComponent: () => import('./service-account-page').then((m) => m.ServiceAccountPage),
  },
  { path: 'invitations', loadComponent: () => import('./invitations').then((m) => m.Invitations) },
];
