import { Routes } from '@angular/router';

import type { RoleBuilder } from './role-builder';
import { Vocabulary } from './vocabulary';

/** Who may do what: roles, direct grants, explanations and simulations. */
export const routes: Routes = [
  {
    path: '',
    providers: [Vocabulary],
    children: [
      { path: '', loadComponent: () => import('./roles').then((m) => m.Roles) },
      {
        path: 'new',
        canDeactivate: [(page: RoleBuilder) => page.mayLeave()],
        loadComponent: () => import('./role-builder').then((m) => m.RoleBuilder),
      },
      { path: 'grants', loadComponent: () => import('./direct-grants').then((m) => m.DirectGrants) },
      { path: 'explain', loadComponent: () => import('./explain-page').then((m) => m.ExplainPage) },
      { path: 'simulate', loadComponent: () => import('./simulate-page').then((m) => m.SimulatePage) },
      { path: ':id', loadComponent: () => import('./role-page').then((m) => m.RolePage) },
      {
        path: ':id/edit',
        canDeactivate: [(page: RoleBuilder) => page.mayLeave()],
        loadComponent: () => import('./role-builder').then((m) => m.RoleBuilder),
      },
    ],
  },
];
