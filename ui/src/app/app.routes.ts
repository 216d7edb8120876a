import { Routes } from '@angular/router';

import { setupIsOpen, signedIn } from '@core/session/guards';

/** Every page of the interface; each feature keeps its own routes in its folder. */
export const routes: Routes = [
  {
    path: 'setup',
    canActivate: [setupIsOpen],
    loadComponent: () => import('./features/firstrun/wizard').then((m) => m.Wizard),
  },
  {
    path: 'sign-in',
    loadComponent: () => import('./features/identity/sign-in').then((m) => m.SignIn),
  },
  {
    path: '',
    canActivate: [signedIn],
    loadComponent: () => import('./shell/shell').then((m) => m.Shell),
    children: [
      {
        path: '',
        pathMatch: 'full',
        loadComponent: () => import('./features/dashboard/dashboard').then((m) => m.Dashboard),
      },
      {
        path: 'inventory',
        loadChildren: () => import('./features/inventory/inventory.routes').then((m) => m.routes),
      },
      {
        path: 'connections',
        loadChildren: () => import('./features/connections/connections.routes').then((m) => m.routes),
      },
      {
        path: 'stacks',
        loadChildren: () => import('./features/stacks/stacks.routes').then((m) => m.routes),
      },
      {
        path: 'deployments',
        loadChildren: () => import('./features/deployments/deployments.routes').then((m) => m.routes),
      },
      {
        path: 'approvals',
        loadChildren: () => import('./features/approvals/approvals.routes').then((m) => m.routes),
      },
      {
        path: 'audit',
        loadChildren: () => import('./features/audit/audit.routes').then((m) => m.routes),
      },
      {
        path: 'tenants',
        loadChildren: () => import('./features/tenancy/tenancy.routes').then((m) => m.routes),
      },
      {
        path: 'users',
        loadChildren: () => import('./features/identity/people.routes').then((m) => m.routes),
      },
      {
        path: 'roles',
        loadComponent: () => import('./features/permission/roles').then((m) => m.Roles),
      },
      {
        path: 'break-glass',
        loadComponent: () => import('./features/breakglass/breakglass').then((m) => m.BreakglassPage),
      },
      {
        path: 'health',
        loadComponent: () => import('./features/system/health').then((m) => m.Health),
      },
      {
        path: 'profile',
        loadComponent: () => import('./features/identity/profile').then((m) => m.Profile),
      },
      {
        path: '**',
        loadComponent: () => import('./shell/not-found').then((m) => m.NotFound),
      },
    ],
  },
];
