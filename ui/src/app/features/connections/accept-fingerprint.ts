import { DIALOG_DATA, DialogRef } from '@angular/cdk/dialog';
import { ChangeDetectionStrategy, Component, inject, signal } from '@angular/core';

import { Api } from '@core/api/api';
import { Connection } from '@core/connection/connection';
import { DialogFrame } from '@core/dialog/dialog-frame';
import { action } from '@core/feedback/action';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { CopyBlock } from '@core/page/copy-block';

import { Fingerprint } from './fingerprint';

/** Shows the old and the new certificate of a cluster and accepts the new one; closes with the connection. */
@Component({
  selector: 'nb-accept-fingerprint',
  imports: [CopyBlock, DialogFrame, Fingerprint, ProblemNotice],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <nb-dialog-frame [heading]="heading">
      <nb-problem [problem]="accepting.problem()" />
      <p i18n>
        The cluster shows another certificate than the one you trusted. That happens after a renewal or a
        reinstallation. It also happens when somebody stands between Nimbus and the cluster.
      </p>
      <div class="pair">
        <section>
          <h3 i18n>Trusted until now</h3>
          <nb-fingerprint [value]="connection.fingerprint" [against]="offered" />
        </section>
        <section>
          <h3 i18n>Shown now</h3>
          <nb-fingerprint [value]="offered" [against]="connection.fingerprint" />
        </section>
      </div>
      <p i18n>Read it on the cluster itself, in the shell of the node, and compare:</p>
      <nb-copy-block i18n-label label="Command that prints the certificate's fingerprint" [text]="command" />
      <label class="check">
        <input type="checkbox" [checked]="compared()" (change)="compared.set(!compared())" />
        <span i18n>I compared it with what the cluster says; they are the same.</span>
      </label>
      <ng-container actions>
        <button type="button" class="button" (click)="ref.close()" i18n>Cancel</button>
        <button
          type="button"
          class="button primary"
          [disabled]="!compared() || !offered || accepting.busy()"
          (click)="accept()"
          i18n
        >
          Trust the new certificate
        </button>
      </ng-container>
    </nb-dialog-frame>
  `,
  styles: `
    .pair {
      display: grid;
      grid-template-columns: repeat(auto-fit, minmax(min(100%, 17rem), 1fr));
      gap: var(--s4);
    }
    section {
      padding: var(--s3);
      border: 1px solid var(--line);
      border-radius: var(--radius-s);
      background: var(--surface-sunken);
      overflow-x: auto;
    }
    h3 {
      margin-bottom: var(--s2);
      font-size: var(--text-s);
    }
  `,
})
export class AcceptFingerprint {
  private readonly api = inject(Api);
  protected readonly ref = inject<DialogRef<Connection>>(DialogRef);
  protected readonly connection = inject<Connection>(DIALOG_DATA);
  protected readonly offered = this.connection.offered_fingerprint ?? '';
  protected readonly heading = $localize`Another certificate on ${this.connection.name}`;
  protected readonly command =
    'openssl x509 -noout -fingerprint -sha256 -in /etc/pve/local/pve-ssl.pem';
  protected readonly compared = signal(false);
  protected readonly accepting = action();

  protected async accept(): Promise<void> {
    const body = { fingerprint: this.offered };
    const path = `/connections/${this.connection.id}/fingerprint`;
    await this.accepting.run(async () => this.ref.close(await this.api.post<Connection>(path, body)));
  }
}
