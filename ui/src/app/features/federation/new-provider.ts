import { ChangeDetectionStrategy, Component, computed, inject, signal } from '@angular/core';
import { FormControl, FormGroup, ReactiveFormsModule, Validators } from '@angular/forms';
import { Router, RouterLink } from '@angular/router';

import { Api } from '@core/api/api';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Choice, Option } from '@core/form/choice';
import { Field, FieldInput } from '@core/form/field';
import { submit } from '@core/form/submit';
import { Icon } from '@core/icon/icon';
import { CopyBlock } from '@core/page/copy-block';
import { PageHeader } from '@core/page/page-header';

import { Provider, ProviderKind, hintsFor, redirectAddress } from './provider';

/** Guides through adding a provider: protocol, what it wants to know, what Nimbus wants to know. */
@Component({
  selector: 'nb-new-provider',
  imports: [Choice, CopyBlock, Field, FieldInput, Icon, PageHeader, ProblemNotice, ReactiveFormsModule, RouterLink],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './new-provider.html',
  styleUrl: './new-provider.scss',
})
export class NewProvider {
  private readonly api = inject(Api);
  private readonly router = inject(Router);
  protected readonly kind = signal<ProviderKind>('oidc');
  protected readonly kinds: readonly Option<ProviderKind>[] = [
    { value: 'oidc', label: $localize`OpenID Connect`, text: $localize`The newer one; take it when your provider has both.` },
    { value: 'saml', label: $localize`SAML 2.0`, text: $localize`Spoken by nearly every enterprise directory.` },
  ];
  protected readonly hints = computed(() => hintsFor(this.kind()));
  protected readonly redirect = redirectAddress();
  protected readonly form = new FormGroup({
    name: text(Validators.required),
    issuer: text(Validators.required),
    client_id: text(Validators.required),
    client_secret: text(),
    metadata: new FormControl<'url' | 'xml'>('url', { nonNullable: true }),
    metadata_url: text(Validators.required),
    metadata_xml: text(Validators.required),
  });
  protected readonly sending = submit(this.form);
  protected readonly back = { link: '/identity-providers', label: $localize`Sign-in providers` };

  protected readonly metadata = computed(() => {
    this.sending.touched();
    return this.form.controls.metadata.value;
  });

  constructor() {
    this.choose('oidc');
    this.form.controls.metadata.valueChanges.subscribe(() => this.choose(this.kind()));
  }

  protected choose(kind: ProviderKind): void {
    this.kind.set(kind);
    const { issuer, client_id, client_secret, metadata_url, metadata_xml } = this.form.controls;
    const byUrl = this.form.controls.metadata.value === 'url';
    for (const one of [issuer, client_id, client_secret]) use(one, kind === 'oidc');
    use(metadata_url, kind === 'saml' && byUrl);
    use(metadata_xml, kind === 'saml' && !byUrl);
  }

  protected async send(): Promise<void> {
    if (!this.sending.ready()) return;
    await this.sending.run(async () => {
      const made = await this.api.post<Provider>('/identity-providers', this.body());
      await this.router.navigate(['/identity-providers', made.id], { queryParams: { made: 1 } });
    });
  }

  // It begins switched off, so that nobody meets it before it was tried.
  private body(): object {
    const { name, issuer, client_id, client_secret, metadata_url, metadata_xml } = this.form.getRawValue();
    const common = { kind: this.kind(), name: name.trim(), enabled: false };
    if (this.kind() === 'oidc') {
      const secret = client_secret ? { client_secret } : {};
      return { ...common, oidc: { issuer: issuer.trim(), client_id: client_id.trim(), ...secret } };
    }
    return { ...common, saml: this.metadata() === 'url' ? { metadata_url: metadata_url.trim() } : { metadata_xml } };
  }
}

function text(...validators: (typeof Validators.required)[]): FormControl<string> {
  return new FormControl('', { nonNullable: true, validators });
}

function use(control: FormControl, used: boolean): void {
  if (used) control.enable({ emitEvent: false });
  else control.disable({ emitEvent: false });
}
