import { ChangeDetectionStrategy, Component, computed, effect, inject, signal, untracked } from '@angular/core';
import { FormControl, FormGroup, ReactiveFormsModule, Validators } from '@angular/forms';

import { Api } from '@core/api/api';
import { remote } from '@core/api/remote';
import { Dialogs } from '@core/dialog/dialogs';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Toasts } from '@core/feedback/toasts';
import { Choice, Option } from '@core/form/choice';
import { Field, FieldInput } from '@core/form/field';
import { submit } from '@core/form/submit';
import { Icon } from '@core/icon/icon';
import { Badge } from '@core/page/badge';
import { CopyId } from '@core/page/copy-id';
import { PageHeader } from '@core/page/page-header';
import { Session } from '@core/session/session';
import { Clock } from '@core/time/clock';
import { Time } from '@core/time/time';

import { AddressCard } from './address-card';
import { Certificate, Source, daysLeft, leftTone, namesOf, sortPem, sourceWord } from './certificate';

/** The certificate of the one port: which it is, how long it is good, and how to have another. */
@Component({
  selector: 'nb-certificate-page',
  imports: [AddressCard, Badge, Choice, CopyId, Field, FieldInput, Icon, PageHeader, ProblemNotice, ReactiveFormsModule, Time],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './certificate-page.html',
  styleUrl: './certificate-page.scss',
})
export class CertificatePage {
  private readonly api = inject(Api);
  private readonly clock = inject(Clock);
  private readonly dialogs = inject(Dialogs);
  private readonly toasts = inject(Toasts);
  private readonly session = inject(Session);

  protected readonly told = remote<Certificate>(() => '/system/certificate');
  protected readonly mayEdit = this.session.can('system:certificate:update');
  protected readonly seesAddress = this.session.can('system:settings:read');
  protected readonly source = signal<Source>('self-signed');
  protected readonly dragging = signal(false);
  protected readonly dropFault = signal('');
  protected readonly own = new FormGroup({ certificate_pem: text(Validators.required), key_pem: text(Validators.required) });
  protected readonly acme = new FormGroup({
    directory: text(Validators.required),
    email: text(Validators.email),
    domains: text(Validators.required),
    challenge: new FormControl<'http-01' | 'tls-alpn-01'>('http-01', { nonNullable: true }),
    ca_pem: text(),
  });
  protected readonly none = new FormGroup({});
  private readonly ways = { own: submit(this.own), acme: submit(this.acme), 'self-signed': submit(this.none) };
  protected readonly saving = computed(() => this.ways[this.source()]);
  protected readonly left = computed(() => {
    const told = this.told.value();
    return told ? daysLeft(told, this.clock.now()) : 0;
  });
  protected readonly leftTone = leftTone;
  protected readonly sourceWord = sourceWord;
  protected readonly options: readonly Option<Source>[] = [
    { value: 'self-signed', label: $localize`Made by Nimbus itself`, text: $localize`Browsers warn until its fingerprint was compared and accepted. Choose it again before it ends.` },
    { value: 'own', label: $localize`Your own`, text: $localize`From your own authority or a public one. You bring its successor in time.` },
    { value: 'acme', label: $localize`From an authority, by ACME`, text: $localize`Let’s Encrypt, or an internal authority such as step-ca. It is got and renewed by itself.` },
  ];

  constructor() {
    effect(() => {
      const told = this.told.value();
      if (told) untracked(() => this.fill(told));
    });
  }

  protected async take(files: FileList | null | undefined): Promise<void> {
    this.dragging.set(false);
    const small = [...(files ?? [])].filter((file) => file.size < 262_144);
    const { certificates, key } = sortPem((await Promise.all(small.map((file) => file.text()))).join('\n'));
    this.dropFault.set(certificates || key ? '' : $localize`There is no certificate and no key in PEM in it. Convert it, or paste the texts below.`);
    if (certificates) this.own.controls.certificate_pem.setValue(certificates);
    if (key) this.own.controls.key_pem.setValue(key);
  }

  protected async save(): Promise<void> {
    const saving = this.saving();
    if (!saving.ready() || !(await this.sure())) return;
    await saving.run(async () => {
      this.told.set(await this.api.put<Certificate>('/system/certificate', this.body()));
      this.own.reset();
      this.toasts.done($localize`The certificate is in use. Load the page again to see it in the browser.`);
    });
  }

  private sure(): Promise<boolean> {
    return this.dialogs.confirm({
      heading: $localize`Use another certificate?`,
      text: $localize`It is in use at once, without a restart. Browsers and programs that trust only the one of now, or its fingerprint, have to be told. If it cannot be used, the one of now stays.`,
      verb: $localize`Use it`,
    });
  }

  private body(): object {
    const source = this.source();
    if (source === 'own') return { source, ...this.own.getRawValue() };
    if (source !== 'acme') return { source };
    const { directory, email, domains, challenge, ca_pem } = this.acme.getRawValue();
    return { source, acme: { directory: directory.trim(), email: email.trim(), domains: namesOf(domains), challenge, ca_pem: ca_pem.trim() } };
  }

  private fill(told: Certificate): void {
    this.source.set(told.source);
    const acme = told.acme ?? { directory: 'https://acme-v02.api.letsencrypt.org/directory', domains: told.names.filter((name) => /[a-z]/.test(name)), challenge: 'http-01' as const };
    this.acme.reset({ directory: acme.directory, email: acme.email ?? '', domains: acme.domains.join('\n'), challenge: acme.challenge, ca_pem: acme.ca_pem ?? '' });
  }
}

function text(...validators: typeof Validators.required[]): FormControl<string> {
  return new FormControl('', { nonNullable: true, validators });
}
