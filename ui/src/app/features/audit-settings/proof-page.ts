import { ChangeDetectionStrategy, Component, computed, inject } from '@angular/core';

import { Api, Page } from '@core/api/api';
import { remote } from '@core/api/remote';
import { AuditSettingsTabs } from '@core/audit/audit-settings-tabs';
import { Dialogs } from '@core/dialog/dialogs';
import { action } from '@core/feedback/action';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Toasts } from '@core/feedback/toasts';
import { Icon } from '@core/icon/icon';
import { keysetList } from '@core/list/keyset-list';
import { ListFrame } from '@core/list/list-frame';
import { Badge } from '@core/page/badge';
import { CopyBlock } from '@core/page/copy-block';
import { CopyId } from '@core/page/copy-id';
import { EmptyState } from '@core/page/empty-state';
import { PageHeader } from '@core/page/page-header';
import { Session } from '@core/session/session';
import { Time } from '@core/time/time';

import { CheckpointDialog } from './checkpoint-dialog';
import { Checkpoint, Signer, SigningKey, keyPlace, keyPlaceShort, knownTime, reachOf, signerTone, signerWord, verifyCommands } from './proof';
import { PublicationCard } from './publication-card';

/** What proves the chain: the key that signs, the checkpoints, where they went, and how to check them elsewhere. */
@Component({
  selector: 'nb-proof-page',
  imports: [
    AuditSettingsTabs, Badge, CopyBlock, CopyId, EmptyState, Icon, ListFrame, PageHeader, ProblemNotice, PublicationCard, Time,
  ],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './proof-page.html',
  styleUrl: './proof-page.scss',
})
export class ProofPage {
  private readonly api = inject(Api);
  private readonly dialogs = inject(Dialogs);
  private readonly toasts = inject(Toasts);
  protected readonly session = inject(Session);
  protected readonly signer = remote<Signer>(() => '/audit/signer');
  protected readonly keys = remote<Page<SigningKey>>(() => '/audit/keys');
  protected readonly list = keysetList<Checkpoint>('/audit/checkpoints');
  protected readonly making = action('toast');
  protected readonly commands = computed(() => verifyCommands(this.keys.value()?.items ?? []));
  protected readonly keyPlace = keyPlace;
  protected readonly keyPlaceShort = keyPlaceShort;
  protected readonly since = knownTime;
  protected readonly signerTone = signerTone;
  protected readonly signerWord = signerWord;
  protected readonly reachOf = reachOf;

  protected keyLabel(key: SigningKey): string {
    return $localize`Public key ${key.vkey.slice(-12)}`;
  }

  protected open(checkpoint: Checkpoint): void {
    void this.dialogs.open<void, Checkpoint>(CheckpointDialog, checkpoint, { wide: true });
  }

  protected async make(): Promise<void> {
    await this.making.run(async () => {
      const made = await this.api.post<Checkpoint>('/audit/checkpoints');
      this.toasts.done($localize`Signed: records 1 to ${made.size} are fixed.`);
    });
    await Promise.all([this.list.reload(), this.signer.reload(), this.keys.reload()]);
  }
}
