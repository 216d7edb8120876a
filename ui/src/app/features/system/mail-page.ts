import { ChangeDetectionStrategy, Component, computed, effect, inject, untracked } from '@angular/core';
import { FormControl, FormGroup, ReactiveFormsModule, Validators } from '@angular/forms';

import { Api } from '@core/api/api';
import { remote } from '@core/api/remote';
import { Dialogs } from '@core/dialog/dialogs';
import { action } from '@core/feedback/action';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Toasts } from '@core/feedback/toasts';
import { Field, FieldInput } from '@core/form/field';
import { submit } from '@core/form/submit';
import { Icon } from '@core/icon/icon';
import { Badge } from '@core/page/badge';
import { PageHeader } from '@core/page/page-header';
import { Session } from '@core/session/session';

import { MailSecurity, MailSettings, mailBody, portFor } from './mail-settings';

/** How mail leaves the appliance, with a test message. */
@Component({
  selector: 'nb-mail-page',
  imports: [Badge, Field, FieldInput, Icon, PageHeader, ProblemNotice, ReactiveFormsModule],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './mail-page.html',
  styleUrl: './mail-page.scss',
})
export class MailPage {
  private readonly api = inject(Api);
  private readonly dialogs = inject(Dialogs);
  private readonly toasts = inject(Toasts);
  private readonly session = inject(Session);
  protected readonly told = remote<MailSettings>(() => '/system/mail');
  protected readonly mayEdit = this.session.can('system:mail:update');
  protected readonly ready = computed(() => Boolean(this.told.value()?.host));
  protected readonly form = new FormGroup({
    host: text(Validators.required),
    port: new FormControl(587, { nonNullable: true, validators: [Validators.required, Validators.min(1), Validators.max(65_535)] }),
    security: new FormControl<MailSecurity>('starttls', { nonNullable: true }),
    username: text(),
    password: text(),
    forget_password: new FormControl(false, { nonNullable: true }),
    from_address: text(Validators.required, Validators.email),
    from_name: text(),
  });
  protected readonly saving = submit(this.form);
  protected readonly test = new FormGroup({ to: text(Validators.required, Validators.email) });
  protected readonly testing = submit(this.test);
  protected readonly removing = action('toast');
  protected readonly keeps = $localize`Left empty, the stored one stays.`;
  protected readonly open = computed(() => {
    this.saving.touched();
    return this.form.controls.security.value === 'none';
  });
  protected readonly changed = computed(() => {
    this.saving.touched();
    return this.form.dirty;
  });

  constructor() {
    if (!this.mayEdit) this.form.disable();
    this.test.reset({ to: this.session.user()?.email ?? '' });
    this.form.controls.security.valueChanges.subscribe((security) => {
      const { port } = this.form.controls;
      if (this.form.dirty) port.setValue(portFor(security, port.value));
    });
    effect(() => {
      const told = this.told.value();
      if (told) untracked(() => this.fill(told));
    });
  }

  protected async save(): Promise<void> {
    if (!this.saving.ready()) return;
    await this.saving.run(async () => {
      this.told.set(await this.api.put<MailSettings>('/system/mail', mailBody(this.form.getRawValue())));
      this.toasts.done($localize`Saved. Send a test message to see that it works.`);
    });
  }

  protected async sendTest(): Promise<void> {
    if (!this.testing.ready()) return;
    const { to } = this.test.getRawValue();
    if (!(await this.testing.run(() => this.api.post('/system/mail/test', { to })))) return;
    this.toasts.done($localize`The mail server took the message for ${to}. Look whether it arrives.`);
  }

  protected async remove(): Promise<void> {
    const sure = await this.dialogs.confirm({
      heading: $localize`Send no mail any more?`,
      text: $localize`The mail server and its password are forgotten. Invitations and password resets are then passed on by hand, and nobody is told of approvals or checkpoints by mail.`,
      verb: $localize`Forget the mail server`,
      danger: true,
    });
    if (sure && (await this.removing.run(() => this.api.delete('/system/mail')))) await this.told.reload();
  }

  private fill(told: MailSettings): void {
    const { has_password: _, ...rest } = told;
    this.form.reset({ ...rest, port: told.port || 587, security: told.security || 'starttls', password: '', forget_password: false });
  }
}

function text(...validators: typeof Validators.required[]): FormControl<string> {
  return new FormControl('', { nonNullable: true, validators });
}
