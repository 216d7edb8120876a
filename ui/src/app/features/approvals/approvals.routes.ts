import { Routes } from '@angular/router';

/** The pages under `/approvals`. */
export const routes: Routes = [
  { path: '', loadComponent: () => import('./approvals').then((m) => m.Approvals) },
  { path: '**', loadComponent: () => import('../../shell/not-found').then((m) => m.NotFound) },
];
