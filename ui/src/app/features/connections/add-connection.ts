import { DialogRef } from '@angular/cdk/dialog';
import { ChangeDetectionStrategy, Component, computed, inject, signal } from '@angular/core';
import { takeUntilDestroyed } from '@angular/core/rxjs-interop';
import { FormControl, FormGroup, ReactiveFormsModule, Validators } from '@angular/forms';

import { Api } from '@core/api/api';
import { remote } from '@core/api/remote';
import { Connection } from '@core/connection/connection';
import { DialogFrame } from '@core/dialog/dialog-frame';
import { action } from '@core/feedback/action';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Field, FieldInput } from '@core/form/field';
import { submit } from '@core/form/submit';
import { Icon } from '@core/icon/icon';
import { CopyBlock } from '@core/page/copy-block';

import { Commands, ConnectionTest, NewConnection } from './connection-test';
import { Fingerprint } from './fingerprint';

const text = (value = '', validators = [Validators.required]) =>
  new FormControl(value, { nonNullable: true, validators });

/** Connects a cluster: make the token, test it, save it. Closes with the connection. */
@Component({
  selector: 'nb-add-connection',
  imports: [CopyBlock, DialogFrame, Field, FieldInput, Fingerprint, Icon, ProblemNotice, ReactiveFormsModule],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './add-connection.html',
  styleUrl: './add-connection.scss',
})
export class AddConnection {
  private readonly api = inject(Api);
  protected readonly ref = inject<DialogRef<Connection>>(DialogRef);
  protected readonly commands = remote<Commands>(() => '/connections/commands');
  protected readonly lines = computed(() => this.commands.value()?.lines.join('\n') ?? '');
  protected readonly result = signal<ConnectionTest | null>(null);
  protected readonly missing = computed(
    () => this.result()?.privileges.filter((one) => !one.ok).length ?? 0,
  );
  /** Whether the person trusts the certificate that the test saw. */
  protected readonly trusted = signal(false);
  protected readonly form = new FormGroup({
    name: text(),
    url: text('', [Validators.required, Validators.pattern(/^https:\/\/[^\s/]+\/?$/)]),
    token_id: text('nimbus@pve!nimbus', [Validators.required, Validators.pattern(/^[^@\s]+@[^!\s]+![^\s]+$/)]),
    token_secret: text(),
    ca_pem: text('', []),
  });
  protected readonly sending = submit(this.form);
  protected readonly testing = action();

  constructor() {
    this.form.valueChanges.pipe(takeUntilDestroyed()).subscribe(() => {
      this.result.set(null);
      this.trusted.set(false);
    });
  }

  protected urlError(): string {
    const wrong = this.sending.error('url');
    return wrong && this.form.controls.url.value ? $localize`Write it as https://name-or-address:8006.` : wrong;
  }

  protected tokenError(): string {
    const wrong = this.sending.error('token_id');
    return wrong && this.form.controls.token_id.value ? $localize`Write it as user@realm!token.` : wrong;
  }

  protected async test(): Promise<void> {
    if (!this.sending.ready()) return;
    this.result.set(null);
    await this.testing.run(async () =>
      this.result.set(await this.api.post<ConnectionTest>('/connections/test', this.body())),
    );
  }

  protected async save(): Promise<void> {
    const body = this.body(this.result()?.fingerprint);
    await this.sending.run(async () => this.ref.close(await this.api.post<Connection>('/connections', body)));
  }

  private body(fingerprint?: string): NewConnection {
    const { ca_pem, ...rest } = this.form.getRawValue();
    const url = rest.url.replace(/\/$/, '');
    if (ca_pem) return { ...rest, url, ca_pem };
    return fingerprint ? { ...rest, url, fingerprint } : { ...rest, url };
  }
}
