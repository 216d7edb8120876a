import { Routes } from '@angular/router';

/** The pages under `/inventory`. */
export const routes: Routes = [
  { path: '**', loadComponent: () => import('../../shell/not-found').then((m) => m.NotFound) },
];
