import { Injectable, computed, inject, signal } from '@angular/core';

import { Api } from '../api/api';
import { Problem } from '../api/problem';
import { useZone } from '../time/zone';
import { allows } from './permission';

/** A tenant that the person can work in. */
export interface TenantRef {
  id: string;
  name: string;
  is_root: boolean;
}

/** An open break-glass session, shown on every page while it lasts. */
export interface BreakglassRef {
  id: string;
  reason: string;
  ends_at: string;
  user_name: string;
}

/** Who is signed in, where, and what they may do. */
export interface SessionView {
  id: string;
  user: { id: string; name: string; email: string };
  tenant: TenantRef;
  tenants: TenantRef[];
  permissions: string[];
  authenticated_at: string;
  appliance: { name: string; url: string; version: string; time_zone: string };
  /** Of the tenant; empty when it chose none, and times are shown in the browser's own. */
  time_zone?: string;
  breakglass: BreakglassRef | null;
  /** How the session was begun. */
  method?: SessionMethod;
  /** A second factor was proven in it. */
  mfa?: boolean;
  /** It may do nothing before a second factor is proven. */
  mfa_required?: boolean;
  /** And there is none yet to prove. */
  mfa_enrolment_required?: boolean;
}

/** How a session was begun. */
export type SessionMethod = 'password' | 'oidc' | 'saml' | 'passkey' | 'recovery';

/** What a sign-in asks for before there is a session. */
export interface SecondFactor {
  token: string;
  methods: ('totp' | 'passkey' | 'recovery_code')[];
  /** For the browser's passkeys, in the JSON form of WebAuthn. */
  options: unknown;
}

/** The answer to a sign-in: a session, or its second step. */
export type SignInAnswer = SessionView | { second_factor: SecondFactor };

/** The signed-in session. `current()` is null when nobody is signed in. */
@Injectable({ providedIn: 'root' })
export class Session {
  private readonly api = inject(Api);
  private readonly state = signal<SessionView | null>(null);
  private asked: Promise<void> | null = null;

  readonly current = this.state.asReadonly();
  readonly signedIn = computed(() => this.state() !== null);
  readonly user = computed(() => this.state()?.user ?? null);
  readonly tenant = computed(() => this.state()?.tenant ?? null);
  /** The session may do nothing before a second factor is enrolled or proven. */
  readonly limited = computed(() => Boolean(this.state()?.mfa_required || this.state()?.mfa_enrolment_required));
  readonly breakglass = computed(() => this.state()?.breakglass ?? null);
  /** True when the session ended while it was in use; the sign-in page says so. */
  readonly ended = signal(false);

  constructor() {
    this.api.signedOut = () => this.end();
    this.api.limited = () => void this.refresh().catch(() => undefined);
  }

  /** Asks the server who is signed in, once; later calls wait for the same answer. */
  load(): Promise<void> {
    this.asked ??= this.refresh().catch((cause: unknown) => {
      this.asked = null;
      if (!(cause instanceof Problem) || cause.code !== 'unauthenticated') throw cause;
    });
    return this.asked;
  }

  /** Reads the session again, for example after roles or break-glass changed. */
  async refresh(): Promise<void> {
    this.enter(await this.api.get<SessionView>('/session'));
  }

  /**
   * Sends what proves the person to one of the routes that begin a session.
   * Answers the second step when there is one; rejects with a Problem to show.
   */
  async begin(path: string, proof: object): Promise<SecondFactor | null> {
    const answer = await this.api.post<SignInAnswer>(path, proof, { keepSession: true });
    if ('second_factor' in answer && answer.second_factor) return answer.second_factor;
    this.enter(answer as SessionView);
    this.ended.set(false);
    return null;
  }

  /** Signs out here and on the server, and at the provider that signed the person in if it wants that. */
  async signOut(): Promise<void> {
    const answer = await this.api.delete<{ redirect?: string } | undefined>('/session');
    if (answer?.redirect) return location.assign(answer.redirect);
    this.forget();
  }

  /** Works in another tenant from now on. */
  async switchTenant(tenantId: string): Promise<void> {
    this.enter(await this.api.put<SessionView>('/session/tenant', { tenant_id: tenantId }));
  }

  /** Whether the person may do `permission` in the active tenant. Reads a signal. */
  can(permission: string): boolean {
    return allows(this.state()?.permissions ?? [], permission);
  }

  /** Forgets a session that the server has ended. */
  end(): void {
    if (!this.signedIn()) return;
    this.forget();
    this.ended.set(true);
  }

  private enter(view: SessionView): void {
    useZone(view.time_zone);
    this.state.set(view);
  }

  private forget(): void {
    this.asked = null;
    useZone(undefined);
    this.state.set(null);
  }
}
