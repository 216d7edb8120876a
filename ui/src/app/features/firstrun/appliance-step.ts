import { ChangeDetectionStrategy, Component, inject, output, signal } from '@angular/core';
import { FormControl, FormGroup, ReactiveFormsModule, Validators } from '@angular/forms';

import { ProblemNotice } from '@core/feedback/problem-notice';
import { Field, FieldInput } from '@core/form/field';
import { submit } from '@core/form/submit';

import { Choice, Option } from '@core/form/choice';
import { Setup } from './setup';
import { StepFrame } from './step-frame';

type Certificate = 'self_signed' | 'own';

/** Name, address, time zone and certificate. */
@Component({
  selector: 'nb-appliance-step',
  imports: [Choice, Field, FieldInput, ProblemNotice, ReactiveFormsModule, StepFrame],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <nb-step-frame
      i18n-heading
      heading="Appliance"
      i18n-lead
      lead="How this machine is called and how people reach it."
    >
      <form class="stack" [formGroup]="form" (ngSubmit)="send()" novalidate>
        <nb-problem [problem]="sending.problem()" />
        <nb-field i18n-label label="Name" i18n-hint hint="Shown beside every tenant." [error]="sending.error('name')">
          <input nbInput autocomplete="off" formControlName="name" />
        </nb-field>
        <nb-field
          i18n-label
          label="Address"
          i18n-hint
          hint="What people type into the browser, with https:// and the port."
          [error]="sending.error('url')"
        >
          <input nbInput type="url" autocomplete="off" formControlName="url" />
        </nb-field>
        <nb-field i18n-label label="Time zone" [error]="sending.error('time_zone')">
          <select nbInput formControlName="time_zone">
            @for (zone of zones; track zone) {
              <option [value]="zone">{{ zone }}</option>
            }
          </select>
        </nb-field>
        <h2 i18n>Certificate</h2>
        <nb-choice i18n-legend legend="Certificate" [options]="options" [(value)]="certificate" />
        @if (certificate() === 'own') {
          <nb-field i18n-label label="Certificate chain (PEM)" [error]="sending.error('certificate_pem')">
            <textarea nbInput class="mono" rows="5" spellcheck="false" formControlName="certificate_pem" placeholder="-----BEGIN CERTIFICATE-----"></textarea>
          </nb-field>
          <nb-field i18n-label label="Private key (PEM)" [error]="sending.error('key_pem')">
            <textarea nbInput class="mono" rows="5" spellcheck="false" autocomplete="off" formControlName="key_pem" placeholder="-----BEGIN PRIVATE KEY-----"></textarea>
          </nb-field>
        }
        <div class="row end">
          <button class="button primary" [disabled]="sending.busy()" i18n>Save and continue</button>
        </div>
      </form>
    </nb-step-frame>
  `,
})
export class ApplianceStep {
  private readonly setup = inject(Setup);
  readonly saved = output();

  private readonly defaults = this.setup.state.value()?.defaults;
  private readonly zone = this.setup.answer('appliance', 'time_zone', this.defaults?.time_zone || 'UTC');
  protected readonly zones = [...new Set([this.zone, 'UTC', ...Intl.supportedValuesOf('timeZone')])];
  protected readonly form = new FormGroup({
    name: text(this.setup.answer('appliance', 'name', this.defaults?.name), Validators.required),
    url: text(this.setup.answer('appliance', 'url', this.defaults?.url), Validators.required),
    time_zone: text(this.zone),
    certificate_pem: text(''),
    key_pem: text(''),
  });
  protected readonly sending = submit(this.form);
  protected readonly certificate = signal<Certificate>(this.earlier());
  protected readonly options: readonly Option<Certificate>[] = [
    {
      value: 'self_signed',
      label: $localize`The one Nimbus made`,
      text: $localize`Self-signed; compare its fingerprint with the console. You can bring your own later.`,
    },
    { value: 'own', label: $localize`My own`, text: $localize`From your own authority or a public one.` },
  ];

  protected async send(): Promise<void> {
    if (!this.sending.ready()) return;
    const { certificate_pem, key_pem, ...rest } = this.form.getRawValue();
    const mode = this.certificate();
    const certificate = mode === 'own' ? { mode, certificate_pem, key_pem } : { mode };
    const done = await this.sending.run(() => this.setup.save('appliance', { ...rest, certificate }));
    if (done) this.saved.emit();
  }

  private earlier(): Certificate {
    const answer = this.setup.step('appliance')?.answers?.['certificate'] as { mode?: Certificate } | undefined;
    return answer?.mode ?? 'self_signed';
  }
}

function text(value: string, validators: typeof Validators.required | null = null): FormControl<string> {
  return new FormControl(value, { nonNullable: true, validators });
}
