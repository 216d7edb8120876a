import { Routes } from '@angular/router';

/** The pages under `/connections`. */
export const routes: Routes = [
  { path: '', loadComponent: () => import('./connections').then((m) => m.Connections) },
  { path: '**', loadComponent: () => import('../../shell/not-found').then((m) => m.NotFound) },
];
