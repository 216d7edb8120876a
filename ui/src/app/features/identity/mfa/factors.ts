/** A passkey of the person. */
export interface Passkey {
  id: string;
  name: string;
  created_at: string;
  last_used_at: string | null;
}

/** The person's second factors. */
export interface Factors {
  totp: boolean;
  passkeys: Passkey[];
  recovery_codes_left: number;
  /** The active tenant asks for a second factor. */
  required: boolean;
}

/** Whether there is a factor that a sign-in asks for; recovery codes alone are none. */
export function anyFactor(factors: Factors | null): boolean {
  return factors !== null && (factors.totp || factors.passkeys.length > 0);
}

/** Whether this is the last factor while one is required, so that it should not be removed first. */
export function isLast(factors: Factors): boolean {
  return factors.required && Number(factors.totp) + factors.passkeys.length === 1;
}

/** What a file of recovery codes says. */
export function recoveryFile(codes: readonly string[], account: string, appliance: string, at: Date): string {
  return [
    $localize`Recovery codes of ${account} at ${appliance}`,
    $localize`Made on ${at.toISOString().slice(0, 10)}. Each code works once, in place of the second factor.`,
    '',
    ...codes,
    '',
  ].join('\n');
}
