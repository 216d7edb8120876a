import { Routes } from '@angular/router';

/** The pages under `/anomalies`. */
export const routes: Routes = [
  { path: '', loadComponent: () => import('./anomalies').then((m) => m.Anomalies) },
  { path: 'rules', loadComponent: () => import('./rules').then((m) => m.AnomalyRules) },
  { path: ':id', loadComponent: () => import('./finding').then((m) => m.Finding) },
];
