import { Routes } from '@angular/router';

import { limited, setupIsOpen, signedIn } from '@core/session/guards';

/** Every page of the interface; each feature keeps its own routes in its folder. */
export const routes: Routes = [
  {
    path: 'setup',
    canActivate: [setupIsOpen],
    loadComponent: () => import('./features/firstrun/wizard').then((m) => m.Wizard),
  },
  {
    path: 'sign-in',
    loadComponent: () => import('./features/identity/sign-in').then((m) => m.SignIn),
  },
  {
    path: 'second-factor',
    canActivate: [limited],
    loadComponent: () => import('./features/identity/second-factor-gate').then((m) => m.SecondFactorGate),
  },
  {
    path: 'signed-in-again',
    loadComponent: () => import('./features/identity/signed-in-again').then((m) => m.SignedInAgain),
  },
  {
    path: 'accept-invitation',
    loadComponent: () => import('./features/identity/invitation-page').then((m) => m.InvitationPage),
  },
  {
    path: 'reset-password',
    loadComponent: () => import('./features/identity/password-reset-page').then((m) => m.PasswordResetPage),
  },
  {
    path: '',
    canActivate: [signedIn],
    loadComponent: () => import('./shell/shell').then((m) => m.Shell),
    children: [
      {
        path: '',
        pathMatch: 'full',
        loadComponent: () => import('./features/dashboard/dashboard').then((m) => m.Dashboard),
      },
      {
        path: 'inventory',
        loadChildren: () => import('./features/inventory/inventory.routes').then((m) => m.routes),
      },
      {
        path: 'connections',
        loadChildren: () => import('./features/connections/connections.routes').then((m) => m.routes),
      },
      {
        path: 'stacks',
        loadChildren: () => import('./features/stacks/stacks.routes').then((m) => m.routes),
      },
      {
        path: 'deployments',
        loadChildren: () => import('./features/deployments/deployments.routes').then((m) => m.routes),
      },
      {
        path: 'approvals',
        loadChildren: () => import('./features/approvals/approvals.routes').then((m) => m.routes),
      },
      {
        path: 'audit',
        loadChildren: () => import('./features/audit/audit.routes').then((m) => m.routes),
      },
      {
        path: 'audit-settings',
        loadChildren: () => import('./features/audit-settings/audit-settings.routes').then((m) => m.routes),
      },
      {
        path: 'anomalies',
        loadChildren: () => import('./features/anomalies/anomalies.routes').then((m) => m.routes),
      },
      {
        path: 'compliance',
        loadComponent: () => import('./features/compliance/compliance').then((m) => m.CompliancePage),
      },
      {
        path: 'tenants',
        loadChildren: () => import('./features/tenancy/tenancy.routes').then((m) => m.routes),
      },
      {
        path: 'users',
        loadChildren: () => import('./features/identity/people.routes').then((m) => m.routes),
      },
      {
        path: 'roles',
        loadChildren: () => import('./features/permission/permission.routes').then((m) => m.routes),
      },
      {
        path: 'identity-providers',
        loadChildren: () => import('./features/federation/federation.routes').then((m) => m.routes),
      },
      {
        path: 'break-glass',
        loadComponent: () => import('./features/breakglass/breakglass').then((m) => m.BreakglassPage),
      },
      {
        path: 'health',
        loadComponent: () => import('./features/system/health').then((m) => m.Health),
      },
      {
        path: 'doctor',
        loadComponent: () => import('./features/doctor/doctor-page').then((m) => m.DoctorPage),
      },
      {
        path: 'workflows',
        loadChildren: () => import('./features/doctor/workflows.routes').then((m) => m.routes),
      },
      {
        path: 'certificate',
        loadComponent: () => import('./features/doctor/certificate-page').then((m) => m.CertificatePage),
      },
      {
        path: 'backups',
        loadChildren: () => import('./features/backup/backup.routes').then((m) => m.routes),
      },
      {
        path: 'mail',
        loadComponent: () => import('./features/system/mail-page').then((m) => m.MailPage),
      },
      {
        path: 'profile',
        loadComponent: () => import('./features/identity/profile').then((m) => m.Profile),
      },
      {
        path: '**',
        loadComponent: () => import('./shell/not-found').then((m) => m.NotFound),
      },
    ],
  },
];
