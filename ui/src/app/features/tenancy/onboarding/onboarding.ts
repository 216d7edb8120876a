import { Injectable, computed, inject, signal } from '@angular/core';
import { AbstractControl, FormControl, FormGroup, ValidatorFn, Validators } from '@angular/forms';

import { Api } from '@core/api/api';
import { submit } from '@core/form/submit';

import { domainProblem } from '../domain';
import { Answers, Onboarded, onboardRequest } from './request';

/** The steps in their order. */
export const stepNames = ['basics', 'domains', 'sign_in', 'scim', 'review'] as const;

/** The name of a step. */
export type StepName = (typeof stepNames)[number];

/** What the wizard holds; nothing is made before the last step. Provided by OnboardingPage. */
@Injectable()
export class Onboarding {
  private readonly api = inject(Api);

  readonly basics = new FormGroup({
    name: text('', Validators.required),
    parent_id: text(''),
    contact_email: text('', Validators.email),
    description: text(''),
  });
  readonly administrator = new FormGroup({
    way: new FormControl<Answers['administrator']['way']>('invite', { nonNullable: true }),
    name: text('', wanted('way', ['invite', 'password'])),
    email: text('', [wanted('way', ['invite', 'password']), Validators.email]),
    password: text('', [wanted('way', ['password']), Validators.minLength(12)]),
  });
  readonly signIn = new FormGroup({
    kind: new FormControl<Answers['sign_in']['kind']>('local', { nonNullable: true }),
    name: text('', wanted('kind', ['oidc', 'saml'])),
    issuer: text('', [wanted('kind', ['oidc']), httpsOnly('kind', ['oidc'])]),
    client_id: text('', wanted('kind', ['oidc'])),
    client_secret: text(''),
    metadata: new FormControl<Answers['sign_in']['metadata']>('url', { nonNullable: true }),
    metadata_url: text('', metadataUrl),
    metadata_xml: text('', metadataXml),
    ca_pem: text(''),
    groups_claim: text(''),
    jit_users: new FormControl(true, { nonNullable: true }),
    jit_groups: new FormControl(false, { nonNullable: true }),
    link_by_email: new FormControl<Answers['sign_in']['link_by_email']>('never', { nonNullable: true }),
  });
  readonly scim = new FormGroup({
    make: new FormControl(false, { nonNullable: true }),
    name: text('', required((parent) => parent.get('make')?.value === true)),
    expires_in_days: new FormControl(365, { nonNullable: true }),
  });
  readonly first = new FormGroup({ basics: this.basics, administrator: this.administrator });

  readonly basicsSubmit = submit(this.first);
  readonly signInSubmit = submit(this.signIn);
  readonly scimSubmit = submit(this.scim);
  readonly domains = signal<readonly string[]>([]);
  readonly step = signal<StepName>('basics');
  /** Steps that were left by going on; they can be gone back to. */
  readonly passed = signal<ReadonlySet<StepName>>(new Set());
  readonly result = signal<Onboarded | null>(null);
  /** Whether something was entered that would be lost. */
  readonly touched = computed(() => {
    this.basicsSubmit.touched();
    return this.first.dirty || this.passed().size > 0;
  });

  constructor() {
    // What is wanted of the other fields depends on these.
    follow(this.administrator, 'way');
    follow(this.signIn, 'kind');
    follow(this.signIn, 'metadata');
    follow(this.scim, 'make');
  }

  /** The answers as they stand. */
  answers(): Answers {
    return {
      basics: this.basics.getRawValue(),
      administrator: this.administrator.getRawValue(),
      domains: this.domains(),
      sign_in: this.signIn.getRawValue(),
      scim: this.scim.getRawValue(),
    };
  }

  /** Whether a step can be opened: it was passed, or it is the next one. */
  reachable(name: StepName): boolean {
    return stepNames.slice(0, stepNames.indexOf(name)).every((before) => this.passed().has(before));
  }

  /** Goes on after a step. */
  next(after: StepName): void {
    this.passed.update((old) => new Set(old).add(after));
    this.step.set(stepNames[stepNames.indexOf(after) + 1] ?? 'review');
  }

  /** Adds a domain; answers what is wrong with it, in words, or null. */
  addDomain(domain: string): string | null {
    const problem = domainProblem(domain, this.domains());
    if (!problem) this.domains.update((old) => [...old, domain]);
    return problem;
  }

  /** Makes everything in one request: all of it, or nothing. */
  async create(): Promise<void> {
    this.result.set(await this.api.post<Onboarded>('/tenants/onboard', onboardRequest(this.answers())));
  }
}

// follow checks the other fields again when the one that they depend on changes.
function follow(form: FormGroup, name: string): void {
  const { [name]: leader, ...others } = form.controls;
  leader?.valueChanges.subscribe(() =>
    Object.values(others).forEach((control) => control.updateValueAndValidity({ emitEvent: false })),
  );
}

function text(value: string, validators: ValidatorFn | ValidatorFn[] = []): FormControl<string> {
  return new FormControl(value, { nonNullable: true, validators });
}

function required(when: (parent: AbstractControl) => boolean): ValidatorFn {
  return (control) => (control.parent && when(control.parent) ? Validators.required(control) : null);
}

function wanted(by: string, values: readonly string[]): ValidatorFn {
  return required((parent) => values.includes(parent.get(by)?.value as string));
}

function httpsOnly(by: string, values: readonly string[]): ValidatorFn {
  return (control) => {
    if (!values.includes(control.parent?.get(by)?.value as string) || !control.value) return null;
    return isHttps(control.value as string) ? null : { message: $localize`Enter an address that begins with https://.` };
  };
}

function metadataUrl(control: AbstractControl<string>): Record<string, unknown> | null {
  if (!usesMetadata(control, 'url')) return null;
  if (!control.value) return { required: true };
  return isHttps(control.value) ? null : { message: $localize`Enter an address that begins with https://.` };
}

function metadataXml(control: AbstractControl<string>): Record<string, unknown> | null {
  if (!usesMetadata(control, 'xml')) return null;
  if (!control.value.trim()) return { required: true };
  const fits = /<([\w-]+:)?EntityDescriptor[\s>]/.test(control.value);
  return fits ? null : { message: $localize`This is not SAML metadata: it has no EntityDescriptor.` };
}

function usesMetadata(control: AbstractControl, way: 'url' | 'xml'): boolean {
  return control.parent?.get('kind')?.value === 'saml' && control.parent.get('metadata')?.value === way;
}

function isHttps(address: string): boolean {
  try {
    return new URL(address.trim()).protocol === 'https:';
  } catch {
    return false;
  }
}
