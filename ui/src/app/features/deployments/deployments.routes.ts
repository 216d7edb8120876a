import { Routes } from '@angular/router';

/** The pages under `/deployments`. */
export const routes: Routes = [
  { path: '', loadComponent: () => import('./deployments').then((m) => m.Deployments) },
  { path: ':id', loadComponent: () => import('./run').then((m) => m.RunPage) },
];
