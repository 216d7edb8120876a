/** What a condition is tried with: who asks for what, when, from where and how. */
export interface Sample {
  actor: { id?: string; name?: string; kind?: string; mfa?: boolean };
  time: string;
  address: string;
  resource: { id?: string; kind?: string; compartment?: string; attributes?: Record<string, unknown> };
  request: { permission?: string; token?: boolean; authenticated_at?: string };
}

/** A sample that answers most questions. */
export function newSample(now: Date, name: string): Sample {
  const at = `${now.toISOString().slice(0, 16)}:00Z`;
  return {
    actor: { name, kind: 'user', mfa: true },
    time: at,
    address: '192.168.1.23',
    resource: { kind: 'stack', attributes: { environment: 'test' } },
    request: { permission: 'deployment:stack:update', token: false, authenticated_at: at },
  };
}

/** Reads a sample that was edited; answers what is wrong with it instead when it is none. */
export function readSample(text: string): Sample | string {
  try {
    const value = JSON.parse(text) as unknown;
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Sample;
    return $localize`Write an object: { "actor": { … } }`;
  } catch (cause) {
    return $localize`This is no JSON: ${(cause as Error).message}`;
  }
}
