import { Routes } from '@angular/router';

/** The pages under `/inventory`. */
export const routes: Routes = [
  { path: '', loadComponent: () => import('./inventory').then((m) => m.Inventory) },
  { path: ':id', loadComponent: () => import('./item-page').then((m) => m.ItemPage) },
];
