import { Routes } from '@angular/router';

/** The pages about collectors of security events, under the audit settings. */
export const routes: Routes = [
  { path: '', loadComponent: () => import('./sinks').then((m) => m.Sinks) },
  { path: 'new', loadComponent: () => import('./new-sink').then((m) => m.NewSink) },
  { path: ':id', loadComponent: () => import('./sink-page').then((m) => m.SinkPage) },
];
