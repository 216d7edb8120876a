/** What a quota counts. */
export type QuotaKind = 'users' | 'compartments' | 'stacks' | 'vcpu' | 'memory_mib' | 'disk_gib' | 'guests';

/** How much of something a tenant may have and has. */
export interface Quota {
  kind: QuotaKind;
  /** From here on people are warned; null for never. */
  soft: number | null;
  /** This much and not more; null for no limit. */
  hard: number | null;
  used: number;
}

/** How near a quota is to its end. */
export type QuotaLevel = 'free' | 'fine' | 'warn' | 'full';

/** How near: without limits free, at the soft one a warning, at the hard one full. */
export function quotaLevel({ soft, hard, used }: Quota): QuotaLevel {
  if (hard !== null && used >= hard) return 'full';
  if (soft !== null && used >= soft) return 'warn';
  return hard === null && soft === null ? 'free' : 'fine';
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
  const { kind, soft, hard, used } = quota;
  const amount = (value: number) => quotaAmount(kind, value);
  switch (quotaLevel(quota)) {
    case 'free':
      return $localize`No limit.`;
    case 'full':
      return used > (hard ?? 0)
        ? $localize`${amount(used - (hard ?? 0))} over the limit: nothing more can be made.`
        : $localize`Full: nothing more can be made.`;
    case 'warn':
      return hard === null
        ? $localize`Over the soft limit. People are warned, nothing is refused.`
        : $localize`Over the soft limit; ${amount(hard - used)} left.`;
    case 'fine':
      return hard === null
        ? $localize`${amount((soft ?? 0) - used)} left until people are warned.`
        : $localize`${amount(hard - used)} left.`;
  }
}

/** Shares of the bar, 0 to 1: what is used and where the soft limit stands; null without limits. */
export function quotaShares({ soft, hard, used }: Quota): { used: number; soft: number | null } | null {
  const whole = hard ?? soft;
  if (whole === null) return null;
  const share = (value: number) => (whole > 0 ? Math.min(1, value / whole) : 1);
  return { used: share(used), soft: soft !== null && hard !== null && soft < hard ? share(soft) : null };
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
