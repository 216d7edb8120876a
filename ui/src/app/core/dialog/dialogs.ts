import { Dialog, DialogConfig } from '@angular/cdk/dialog';
import { ComponentType } from '@angular/cdk/portal';
import { Injectable, inject } from '@angular/core';
import { firstValueFrom } from 'rxjs';

import type { Confirmation } from './confirm';

/** Opens dialogs: focus is kept inside, Escape closes, focus goes back afterwards. */
@Injectable({ providedIn: 'root' })
export class Dialogs {
  private readonly dialog = inject(Dialog);
  private reauthentication: Promise<boolean> | null = null;

  /** Opens a component of our own; answers what it closed with, undefined for Escape. */
  async open<R, D = unknown>(
    component: ComponentType<unknown>,
    data?: D,
    config: Pick<DialogConfig, 'role' | 'ariaLabel' | 'disableClose'> & { wide?: boolean } = {},
  ): Promise<R | undefined> {
    const { wide, ...rest } = config;
    const ref = this.dialog.open<R, D>(component, {
      backdropClass: 'nb-backdrop',
      panelClass: wide ? ['nb-dialog', 'wide'] : 'nb-dialog',
      autoFocus: 'first-tabbable',
      ...(data === undefined ? {} : { data }),
      ...rest,
    });
    return firstValueFrom(ref.closed, { defaultValue: undefined });
  }

  /** Asks before something that cannot be undone; answers whether to do it. */
  async confirm(question: Confirmation): Promise<boolean> {
    const { ConfirmDialog } = await import('./confirm');
    const config = { role: 'alertdialog' as const };
    return (await this.open<boolean, Confirmation>(ConfirmDialog, question, config)) ?? false;
  }

  /** Explains why the person may not do what needs `permission`. */
  async why(permission: string): Promise<void> {
    const { WhyDialog } = await import('../permission/why');
    await this.open<void>(WhyDialog, permission, { wide: true });
  }

  /** Asks for a proof that it is still the same person; requests that wait at the same time share one dialog. */
  stepUp(): Promise<boolean> {
    this.reauthentication ??= this.askProof().finally(() => (this.reauthentication = null));
    return this.reauthentication;
  }

  private async askProof(): Promise<boolean> {
    const { StepUpDialog } = await import('./step-up');
    return (await this.open<boolean>(StepUpDialog)) ?? false;
  }
}
