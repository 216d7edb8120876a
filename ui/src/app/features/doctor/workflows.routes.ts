import { Routes } from '@angular/router';

/** The pages under `/workflows`. */
export const routes: Routes = [
  { path: '', loadComponent: () => import('./workflows-page').then((m) => m.WorkflowsPage) },
  { path: 'schedules', loadComponent: () => import('./schedules-page').then((m) => m.SchedulesPage) },
  { path: 'runs/:id', loadComponent: () => import('./workflow-page').then((m) => m.WorkflowPage) },
];
