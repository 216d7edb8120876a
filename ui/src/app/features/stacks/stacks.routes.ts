import { Routes } from '@angular/router';

import type { StackPage } from './stack-page';

/** The pages under `/stacks`. */
export const routes: Routes = [
  { path: '', loadComponent: () => import('./stacks').then((m) => m.Stacks) },
  { path: 'new', loadComponent: () => import('./new-stack').then((m) => m.NewStack) },
  {
    path: ':id',
    canDeactivate: [(page: StackPage) => page.mayLeave()],
    loadComponent: () => import('./stack-page').then((m) => m.StackPage),
  },
];
