import { FormControl, FormGroup } from '@angular/forms';

/** The kinds of places where backups are kept. */
export type TargetKind = 'none' | 'directory' | 's3' | 'sftp';

/** Where backups are kept. A secret is sent and never told. */
export interface BackupTarget {
  kind: TargetKind;
  path?: string;
  endpoint?: string;
  bucket?: string;
  region?: string;
  prefix?: string;
  access_key?: string;
  ca_pem?: string;
  host?: string;
  port?: number;
  user?: string;
  host_key?: string;
  has_secret?: boolean;
  secret?: string;
}

const names = ['path', 'endpoint', 'bucket', 'region', 'prefix', 'access_key', 'ca_pem', 'host', 'port', 'user', 'host_key', 'secret'] as const;

/** A field of the form of a target. */
export type TargetField = (typeof names)[number];

/** The form of a target; every field is text. */
export type TargetForm = FormGroup<Record<TargetField, FormControl<string>>>;

/** What the form holds. */
export type TargetValues = Record<TargetField, string>;

const asked: Readonly<Record<TargetKind, readonly TargetField[]>> = {
  none: [],
  directory: ['path'],
  s3: ['endpoint', 'bucket', 'region', 'prefix', 'access_key', 'secret', 'ca_pem'],
  sftp: ['host', 'port', 'user', 'path', 'host_key', 'secret'],
};

const needed: Readonly<Record<TargetKind, readonly TargetField[]>> = {
  none: [],
  directory: ['path'],
  s3: ['endpoint', 'bucket', 'access_key'],
  sftp: ['host', 'user', 'path', 'host_key'],
};

/** An empty form of a target. */
export function targetForm(): TargetForm {
  const controls = Object.fromEntries(names.map((name) => [name, new FormControl('', { nonNullable: true })]));
  return new FormGroup(controls as Record<TargetField, FormControl<string>>);
}

/** Fills a form with a target that is kept; its secret stays empty. */
export function fillTarget(form: TargetForm, target: BackupTarget): void {
  form.reset(Object.fromEntries(names.map((name) => [name, name === 'secret' ? '' : String(target[name] || '')])));
}

/** The body for a target: only what belongs to its kind, and a secret only when one was entered. */
export function targetBody(kind: TargetKind, values: TargetValues): BackupTarget {
  const body: Record<string, string | number> = { kind };
  for (const name of asked[kind]) {
    const value = name === 'secret' ? values.secret : values[name].trim();
    if (value !== '') body[name] = name === 'port' ? Number(value) : value;
  }
  return body as unknown as BackupTarget;
}

/** What is missing or cannot be, by field; `keeps` when a secret is stored that an empty field leaves. */
export function targetFaults(kind: TargetKind, values: TargetValues, keeps: boolean): Partial<Record<TargetField, string>> {
  const faults: Partial<Record<TargetField, string>> = {};
  for (const name of needed[kind]) if (!values[name].trim()) faults[name] = $localize`Fill in this field.`;
  if (asked[kind].includes('secret') && !values.secret && !keeps) faults.secret = $localize`Fill in this field.`;
  const port = values.port.trim();
  if (kind === 'sftp' && port && !(/^\d+$/.test(port) && Number(port) >= 1 && Number(port) <= 65_535)) {
    faults.port = $localize`Between 1 and 65535.`;
  }
  if (kind === 'directory' && values.path.trim() && !values.path.trim().startsWith('/')) {
    faults.path = $localize`The whole path, from / on.`;
  }
  return faults;
}
