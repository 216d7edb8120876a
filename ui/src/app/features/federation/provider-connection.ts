import { ChangeDetectionStrategy, Component, effect, inject, input, untracked } from '@angular/core';
import { FormControl, FormGroup, ReactiveFormsModule, Validators } from '@angular/forms';

import { ProblemNotice } from '@core/feedback/problem-notice';
import { Field, FieldInput } from '@core/form/field';
import { submit } from '@core/form/submit';

import { Provider } from './provider';
import { ProviderStore } from './provider-store';

/** How Nimbus reaches the provider and what it believes. */
@Component({
  selector: 'nb-provider-connection',
  imports: [Field, FieldInput, ProblemNotice, ReactiveFormsModule],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './provider-connection.html',
  styleUrl: './provider-part.scss',
})
export class ProviderConnection {
  private readonly store = inject(ProviderStore);
  readonly provider = input.required<Provider>();

  protected readonly form = new FormGroup({
    name: new FormControl('', { nonNullable: true, validators: Validators.required }),
    issuer: new FormControl('', { nonNullable: true }),
    client_id: new FormControl('', { nonNullable: true }),
    client_secret: new FormControl('', { nonNullable: true }),
    scopes: new FormControl('', { nonNullable: true }),
    metadata_url: new FormControl('', { nonNullable: true }),
    metadata_xml: new FormControl('', { nonNullable: true }),
    ca_pem: new FormControl('', { nonNullable: true }),
    sign_requests: new FormControl(false, { nonNullable: true }),
    require_encrypted: new FormControl(false, { nonNullable: true }),
    require_signed_assertion: new FormControl(false, { nonNullable: true }),
    allow_idp_initiated: new FormControl(false, { nonNullable: true }),
  });
  protected readonly sending = submit(this.form);
  protected readonly kept = $localize`One is kept. Leave this empty to keep it.`;
  protected readonly none = $localize`None is kept; this is a public client.`;

  constructor() {
    effect(() => {
      const provider = this.provider();
      untracked(() => this.begin(provider));
    });
  }

  protected async send(): Promise<void> {
    if (!this.sending.ready()) return;
    await this.sending.run(() => this.store.change(this.body()));
  }

  private begin(provider: Provider): void {
    const { oidc, saml } = provider;
    this.form.reset({
      name: provider.name,
      issuer: oidc?.issuer ?? '',
      client_id: oidc?.client_id ?? '',
      scopes: (oidc?.scopes ?? []).join(' '),
      metadata_url: saml?.metadata_url ?? '',
      ca_pem: oidc?.ca_pem ?? saml?.ca_pem ?? '',
      sign_requests: saml?.sign_requests ?? false,
      require_encrypted: saml?.require_encrypted ?? false,
      require_signed_assertion: saml?.require_signed_assertion ?? false,
      allow_idp_initiated: saml?.allow_idp_initiated ?? false,
    });
  }

  // Only what is of this protocol is sent, and secrets only when they were typed.
  private body(): object {
    const { name, issuer, client_id, client_secret, scopes, metadata_url, metadata_xml, ca_pem, ...flags } = this.form.getRawValue();
    if (this.provider().kind === 'oidc') {
      const secret = client_secret ? { client_secret } : {};
      const words = scopes.split(/\s+/).filter(Boolean);
      return { name, oidc: { issuer, client_id, scopes: words, ca_pem, ...secret } };
    }
    return { name, saml: { metadata_url, ca_pem, ...flags, ...(metadata_xml ? { metadata_xml } : {}) } };
  }
}
