import { Injectable, computed, inject } from '@angular/core';

import { Api } from '@core/api/api';
import { remote } from '@core/api/remote';

/** The steps in their order. */
export const stepNames = ['appliance', 'database', 'hsm', 'organisation', 'proxmox', 'recovery_kit'] as const;

/** The name of a step. */
export type StepName = (typeof stepNames)[number];

/** What the server keeps of a step; answers hold no secrets. */
export interface Step {
  name: StepName;
  done: boolean;
  answers: Readonly<Record<string, unknown>> | null;
}

/** How far setting up has come. */
export interface SetupState {
  open: boolean;
  authenticated: boolean;
  token_expires_at: string | null;
  steps: Step[] | null;
  defaults: { url: string; time_zone: string; name: string } | null;
}

/** How far preparing the database has come. */
export interface Progress {
  stage: string;
  percent: number;
  error: string | null;
}

/** The wizard's state. It lives on the server, so that closing the browser loses nothing. */
@Injectable()
export class Setup {
  private readonly api = inject(Api);

  readonly state = remote<SetupState>(() => '/setup');
  /** Whether nothing was answered yet, so that a restore can take the place of setting up. */
  readonly untouched = computed(() => (this.state.value()?.steps ?? []).every((step) => !step.done));
  readonly authenticated = computed(() => this.state.value()?.authenticated ?? false);
  /** The first step that is not done, or null when all are. */
  readonly firstOpen = computed(() => stepNames.find((name) => !this.isDone(name)) ?? null);

  /** What the server keeps of a step, or undefined before it was begun. */
  step(name: StepName): Step | undefined {
    return this.state.value()?.steps?.find((step) => step.name === name);
  }

  /** Whether a step was finished; it can be done again. */
  isDone(name: StepName): boolean {
    return this.step(name)?.done ?? false;
  }

  /** An earlier answer as text, or the fallback. */
  answer(name: StepName, key: string, fallback = ''): string {
    const value = this.step(name)?.answers?.[key];
    return typeof value === 'string' || typeof value === 'number' ? String(value) : fallback;
  }

  /** Whether a step can no longer be changed, because what came after rests on it. */
  isFixed(name: StepName): boolean {
    return this.isDone(name) && this.step(name)?.answers?.['fixed'] === true;
  }

  /** Hands in the token of the console. */
  async signIn(token: string): Promise<void> {
    await this.api.post('/setup/session', { token });
    await this.state.reload();
  }

  /** Saves a step and reads the state again. */
  async save<T>(path: string, body: unknown): Promise<T> {
    const answer = await this.api.put<T>(`/setup/${path}`, body);
    await this.state.reload();
    return answer;
  }

  /** Ends setting up; from then on the wizard is gone. */
  complete(): Promise<void> {
    return this.api.post('/setup/complete');
  }
}
