import { DialogRef } from '@angular/cdk/dialog';
import { ChangeDetectionStrategy, Component, computed, inject, signal } from '@angular/core';
import { FormControl, FormGroup, ReactiveFormsModule, Validators } from '@angular/forms';

import { Api } from '@core/api/api';
import { DialogFrame } from '@core/dialog/dialog-frame';
import { action } from '@core/feedback/action';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Field, FieldInput } from '@core/form/field';
import { submit } from '@core/form/submit';
import { CopyBlock } from '@core/page/copy-block';

interface NewTotp {
  secret: string;
  uri: string;
  qr_svg: string;
}

/** Adds an authenticator app: shows the QR code and asks for the first code; closes with recovery codes, if any. */
@Component({
  selector: 'nb-add-totp',
  imports: [CopyBlock, DialogFrame, Field, FieldInput, ProblemNotice, ReactiveFormsModule],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './add-totp.html',
  styles: `
    .scan {
      display: grid;
      grid-template-columns: auto minmax(0, 1fr);
      gap: var(--s4);
      align-items: center;
    }
    img {
      width: 11rem;
      height: 11rem;
      padding: var(--s2);
      border-radius: var(--radius-s);
      background: #fff;
    }
    @media (max-width: 480px) {
      .scan {
        grid-template-columns: minmax(0, 1fr);
        justify-items: center;
      }
    }
  `,
})
export class AddTotp {
  private readonly api = inject(Api);
  protected readonly ref = inject<DialogRef<string[]>>(DialogRef);
  protected readonly app = signal<NewTotp | null>(null);
  protected readonly beginning = action();
  // An image, so that what is in the drawing can never act on the page.
  protected readonly picture = computed(() => `data:image/svg+xml,${encodeURIComponent(this.app()?.qr_svg ?? '')}`);
  protected readonly spaced = computed(() => this.app()?.secret.replace(/(.{4})(?=.)/g, '$1 ') ?? '');
  protected readonly form = new FormGroup({
    code: new FormControl('', { nonNullable: true, validators: [Validators.required, Validators.minLength(6)] }),
  });
  protected readonly sending = submit(this.form);

  constructor() {
    void this.begin();
  }

  protected async begin(): Promise<void> {
    await this.beginning.run(async () => this.app.set(await this.api.post<NewTotp>('/mfa/totp')));
  }

  protected async send(): Promise<void> {
    if (!this.sending.ready()) return;
    const code = this.form.getRawValue().code.replace(/\s/g, '');
    await this.sending.run(async () => {
      const answer = await this.api.post<{ recovery_codes?: string[] }>('/mfa/totp/confirm', { code }, { keepSession: true });
      this.ref.close(answer?.recovery_codes ?? []);
    });
  }
}
