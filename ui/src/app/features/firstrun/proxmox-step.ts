import { ChangeDetectionStrategy, Component, computed, inject, output, signal } from '@angular/core';
import { FormControl, FormGroup, ReactiveFormsModule } from '@angular/forms';

import { Api } from '@core/api/api';
import { remote } from '@core/api/remote';
import { action } from '@core/feedback/action';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Field, FieldInput } from '@core/form/field';
import { submit } from '@core/form/submit';
import { Icon } from '@core/icon/icon';
import { CopyBlock } from '@core/page/copy-block';

import { Checklist } from './checklist';
import { Choice, Option } from '@core/form/choice';
import { Setup } from './setup';
import { StepFrame } from './step-frame';

type Mode = 'real' | 'simulated' | 'later';

/** What the cluster answered, and which privilege is missing. */
interface ProxmoxTest {
  ok: boolean;
  message: string;
  version: string;
  fingerprint: string;
  privileges: { path: string; privilege: string; ok: boolean }[] | null;
}

/** The first cluster: a real one, the built-in simulated one, or later. */
@Component({
  selector: 'nb-proxmox-step',
  imports: [Checklist, Choice, CopyBlock, Field, FieldInput, Icon, ProblemNotice, ReactiveFormsModule, StepFrame],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './proxmox-step.html',
  styles: `
    h2 {
      margin-top: var(--s3);
    }
    summary {
      margin-bottom: var(--s2);
      cursor: pointer;
    }
    .fingerprint {
      margin-block: var(--s2);
      overflow-wrap: anywhere;
    }
    .granted {
      display: inline-flex;
      align-items: center;
      gap: var(--s1);
      color: var(--tone);
    }
  `,
})
export class ProxmoxStep {
  private readonly api = inject(Api);
  private readonly setup = inject(Setup);
  readonly saved = output();

  protected readonly mode = signal<Mode>(this.setup.answer('proxmox', 'mode', 'real') as Mode);
  /** Set once a cluster is connected; it is changed under Connections from then on. */
  protected readonly connected = computed(() => {
    const kept = this.setup.answer('proxmox', 'mode');
    return this.setup.isDone('proxmox') && kept !== 'later';
  });
  protected readonly commands = remote<{ lines: string[] }>(() => '/setup/proxmox/commands');
  protected readonly script = computed(() => this.commands.value()?.lines.join('\n') ?? '');
  protected readonly form = new FormGroup({
    name: text(this.setup.answer('proxmox', 'name')),
    url: text(this.setup.answer('proxmox', 'url')),
    token_id: text(this.setup.answer('proxmox', 'token_id', 'nimbus@pve!nimbus')),
    token_secret: text(''),
    fingerprint: text(''),
    ca_pem: text(''),
  });
  protected readonly sending = submit(this.form);
  protected readonly testing = action();
  protected readonly tested = signal<ProxmoxTest | null>(null);
  protected readonly missing = computed(
    () => this.tested()?.privileges?.filter((privilege) => !privilege.ok).length ?? 0,
  );
  protected readonly options: readonly Option<Mode>[] = [
    {
      value: 'real',
      label: $localize`Connect my cluster`,
      text: $localize`One node or many, Proxmox VE 8 or 9, with an API token made for Nimbus.`,
    },
    {
      value: 'simulated',
      label: $localize`Use the simulated cluster`,
      text: $localize`Built in: three nodes with guests, to try everything without touching a machine.`,
    },
    { value: 'later', label: $localize`Later`, text: $localize`Add a cluster under Connections when you are ready.` },
  ];

  /** Whether the server said a field is wrong, in either the test or the save. */
  protected error(name: string): string {
    return this.sending.error(name) || (this.testing.problem()?.field(name) ?? '');
  }

  protected async test(): Promise<void> {
    this.tested.set(null);
    await this.testing.run(async () => {
      const answer = await this.api.post<ProxmoxTest>('/setup/proxmox/test', this.body());
      this.tested.set(answer);
    });
  }

  /** Trusts exactly the certificate that the test saw. */
  protected pin(fingerprint: string): void {
    this.form.controls.fingerprint.setValue(fingerprint);
    void this.test();
  }

  protected async send(): Promise<void> {
    await this.sending.run(async () => {
      const answer = await this.setup.save<ProxmoxTest>('proxmox', this.body());
      // A cluster that does not work is an answer and not a failure: nothing was kept.
      if (answer.ok) this.saved.emit();
      else this.tested.set(answer);
    });
  }

  private body(): object {
    const mode = this.mode();
    if (mode !== 'real') return { mode };
    const { fingerprint, ca_pem, ...rest } = this.form.getRawValue();
    return {
      mode,
      ...rest,
      url: rest.url.trim(),
      ...(fingerprint.trim() ? { fingerprint: fingerprint.trim() } : {}),
      ...(ca_pem.trim() ? { ca_pem: ca_pem.trim() } : {}),
    };
  }
}

function text(value: string): FormControl<string> {
  return new FormControl(value, { nonNullable: true });
}
