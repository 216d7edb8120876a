import { Routes } from '@angular/router';

/** The pages under `/audit`. */
export const routes: Routes = [
  { path: '', loadComponent: () => import('./explorer').then((m) => m.AuditExplorer) },
  { path: 'live', loadComponent: () => import('./live-page').then((m) => m.LivePage) },
  { path: 'timeline', loadComponent: () => import('./timeline-page').then((m) => m.TimelinePage) },
  { path: 'verify', loadComponent: () => import('./verify-page').then((m) => m.VerifyPage) },
  { path: 'exports', loadComponent: () => import('./exports-page').then((m) => m.ExportsPage) },
  { path: 'activity/:user', loadComponent: () => import('./activity-page').then((m) => m.ActivityPage) },
  { path: 'history/:kind/:id', loadComponent: () => import('./history-page').then((m) => m.HistoryPage) },
  { path: ':sequence', loadComponent: () => import('./record-page').then((m) => m.RecordPage) },
];
