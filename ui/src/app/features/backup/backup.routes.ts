import { Routes } from '@angular/router';

/** The pages under `/backups`. */
export const routes: Routes = [
  { path: '', loadComponent: () => import('./backups-page').then((m) => m.BackupsPage) },
  { path: 'settings', loadComponent: () => import('./backup-settings-page').then((m) => m.BackupSettingsPage) },
];
