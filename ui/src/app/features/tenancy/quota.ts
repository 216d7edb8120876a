/** What a quota counts. */
export type QuotaKind = 'users' | 'compartments' | 'stacks' | 'vcpu' | 'memory_mib' | 'disk_gib' | 'guests';

/** How much of something a tenant may have and has. */
export interface Quota {
  kind: QuotaKind;
  /** From here on people are warned; null for never. */
  soft: number | null;
  /** This much and not more; null for no limit. */
  hard: number | null;
  /** What sub-tenants are given out of the hard limit. */
  given?: number;
  used: number;
}

/** What the tenant may have itself: the hard limit without what sub-tenants are given; null for no limit. */
export function quotaOwn({ hard, given = 0 }: Quota): number | null {
  return hard === null ? null : Math.max(hard - given, 0);
}

/** How near a quota is to its end. */
export type QuotaLevel = 'free' | 'fine' | 'warn' | 'full';

/** How near: without limits free, at the soft one a warning, at the hard one full. */
export function quotaLevel(quota: Quota): QuotaLevel {
  const { soft, used } = quota;
  const own = quotaOwn(quota);
  if (own !== null && used >= own) return 'full';
  if (soft !== null && used >= soft) return 'warn';
  return own === null && soft === null ? 'free' : 'fine';
}

/** What is counted, in words. */
export function quotaName(kind: QuotaKind): string {
  const names: Readonly<Record<QuotaKind, string>> = {
    users: $localize`People`,
    compartments: $localize`Compartments`,
    stacks: $localize`Stacks`,
    vcpu: $localize`vCPU`,
    memory_mib: $localize`Memory`,
    disk_gib: $localize`Disk`,
    guests: $localize`Guests`,
  };
  return names[kind] ?? kind;
}

/** An amount with its unit: memory and disk grow into GiB and TiB. */
export function quotaAmount(kind: QuotaKind, amount: number): string {
  const number = (value: number) => value.toLocaleString(undefined, { maximumFractionDigits: 1 });
  if (kind === 'memory_mib') {
    return amount < 1024 ? $localize`${number(amount)} MiB` : quotaAmount('disk_gib', amount / 1024);
  }
  if (kind === 'disk_gib') {
    return amount < 1024 ? $localize`${number(amount)} GiB` : $localize`${number(amount / 1024)} TiB`;
  }
  return number(amount);
}

/** What the bar shows, as a sentence. */
export function quotaWords(quota: Quota): string {
  const { kind, soft, used } = quota;
  const own = quotaOwn(quota);
  const amount = (value: number) => quotaAmount(kind, value);
  switch (quotaLevel(quota)) {
    case 'free':
      return $localize`No limit.`;
    case 'full':
      return used > (own ?? 0)
        ? $localize`${amount(used - (own ?? 0))} over the limit: nothing more can be made.`
        : $localize`Full: nothing more can be made.`;
    case 'warn':
      return own === null
        ? $localize`Over the soft limit. People are warned, nothing is refused.`
        : $localize`Over the soft limit; ${amount(own - used)} left.`;
    case 'fine':
      return own === null
        ? $localize`${amount((soft ?? 0) - used)} left until people are warned.`
        : $localize`${amount(own - used)} left.`;
  }
}

/** Shares of the bar, 0 to 1; `soft` is where the soft limit stands. */
export interface QuotaShares {
  used: number;
  given: number;
  soft: number | null;
}

/** What the bar shows; null without limits. */
export function quotaShares({ soft, hard, given = 0, used }: Quota): QuotaShares | null {
  const whole = hard ?? soft;
  if (whole === null) return null;
  const share = (value: number) => (whole > 0 ? Math.min(1, value / whole) : 1);
  return { used: share(used), given: Math.min(share(given), 1 - share(used)), soft: soft !== null && hard !== null && soft < hard ? share(soft) : null };
}

/** What is wrong with a pair of limits, in words; null when they fit. */
export function limitsProblem(soft: number | null, hard: number | null): string | null {
  const whole = [soft, hard].every((limit) => limit === null || (Number.isInteger(limit) && limit >= 0));
  if (!whole) return $localize`Enter whole numbers, or leave the field empty for no limit.`;
  if (soft !== null && hard !== null && soft > hard) {
    return $localize`The soft limit warns before the hard one refuses, so it cannot be higher.`;
  }
  return null;
}
