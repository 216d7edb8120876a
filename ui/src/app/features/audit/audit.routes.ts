import { Routes } from '@angular/router';

/** The pages under `/audit`. */
export const routes: Routes = [
  { path: '', loadComponent: () => import('./explorer').then((m) => m.AuditExplorer) },
  { path: ':sequence', loadComponent: () => import('./record-page').then((m) => m.RecordPage) },
];
