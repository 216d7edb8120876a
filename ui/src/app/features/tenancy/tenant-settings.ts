/** How a tenant is run. A server may leave parts out; then the defaults count. */
export interface TenantSettings {
  approval_policy: 'second_person' | 'confirm_self';
  retention_days: number;
  session: { max_per_user: number; idle_minutes: number; max_hours: number };
  password: { min_length: number; history: number; breached_check: boolean };
  mfa: { required_for: 'nobody' | 'administrators' | 'everybody'; step_up_minutes: number };
  local_sign_in: boolean;
  /** Empty when none was chosen. */
  time_zone: string;
  locale: string;
}

/** What counts where a tenant says nothing. */
export const defaultSettings: TenantSettings = {
  approval_policy: 'second_person',
  retention_days: 30,
  session: { max_per_user: 10, idle_minutes: 60, max_hours: 12 },
  password: { min_length: 12, history: 5, breached_check: true },
  mfa: { required_for: 'nobody', step_up_minutes: 10 },
  local_sign_in: true,
  time_zone: '',
  locale: 'en',
};

/** Settings with the defaults in every gap. */
export function completeSettings(told: Partial<TenantSettings>): TenantSettings {
  return {
    ...defaultSettings,
    ...told,
    session: { ...defaultSettings.session, ...told.session },
    password: { ...defaultSettings.password, ...told.password },
    mfa: { ...defaultSettings.mfa, ...told.mfa },
  };
}
