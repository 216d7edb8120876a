import { ChangeDetectionStrategy, Component, computed, effect, inject, input, signal } from '@angular/core';

import { Api, Page } from '@core/api/api';
import { Problem, asProblem } from '@core/api/problem';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Icon } from '@core/icon/icon';
import { CopyBlock } from '@core/page/copy-block';

import { CheckedProof, ProofFault, ProofStep, checkProof } from './proof';
import { AuditRecord, CheckpointKey, InclusionProof } from './record';

const names: Record<ProofStep['name'], string> = {
  leaf: $localize`The stored text has the leaf hash that is kept`,
  link: $localize`The leaf is linked to the record before it`,
  inclusion: $localize`The leaf is in the tree of the newest checkpoint`,
  signature: $localize`The checkpoint is signed`,
};

const faults: Record<ProofFault, string> = {
  pruned: $localize`The text was archived and taken away; its leaf stays for ever and stands for it below.`,
  'no-body': $localize`The appliance did not give what is needed to compute this.`,
  differs: $localize`What this browser computed is not what is kept: the record or the chain was changed. Verify the chain and compare it with a checkpoint kept elsewhere.`,
  'no-checkpoint': $localize`No checkpoint covers this record yet. One is made every few minutes; come back then.`,
  unreadable: $localize`The proof cannot be one for this record and this checkpoint.`,
  invalid: $localize`The signature does not fit the key. The checkpoint is forged or damaged.`,
  'no-key': $localize`The appliance lists no key that made this signature.`,
  unsupported: $localize`This browser cannot check signatures of this kind. Check it with nimbus-verify.`,
  valid: '',
};

/** Checks a record in the browser, step by step, and shows what the steps came to. */
@Component({
  selector: 'nb-proof-panel',
  imports: [CopyBlock, Icon, ProblemNotice],
  changeDetection: ChangeDetectionStrategy.OnPush,
  host: { class: 'card', role: 'region', 'aria-labelledby': 'proof-heading' },
  templateUrl: './proof-panel.html',
  styleUrl: './proof-panel.scss',
})
export class ProofPanel {
  private readonly api = inject(Api);

  readonly record = input.required<AuditRecord>();

  protected readonly proof = signal<InclusionProof | null>(null);
  protected readonly checked = signal<CheckedProof | null>(null);
  protected readonly problem = signal<Problem | null>(null);
  protected readonly verdict = computed(() => {
    const steps = this.checked()?.steps ?? [];
    if (steps.some((step) => step.state === 'bad')) return 'bad';
    return steps.every((step) => step.state === 'good' || step.why === 'pruned') ? 'good' : 'open';
  });
  protected readonly names = names;
  protected readonly faults = faults;

  constructor() {
    effect(() => void this.check(this.record()));
  }

  protected async check(record: AuditRecord): Promise<void> {
    this.checked.set(null);
    this.problem.set(null);
    if (!record.sealed_at) return;
    const [proof, keys] = await Promise.all([this.fetchProof(record.sequence), this.fetchKeys()]);
    const checked = await checkProof(record, proof, keys);
    if (this.record() !== record) return;
    this.proof.set(proof);
    this.checked.set(checked);
  }

  // A record that is newer than every checkpoint has no proof yet; that is no failure.
  private async fetchProof(sequence: number): Promise<InclusionProof | null> {
    try {
      return await this.api.get<InclusionProof>('/audit/proofs/inclusion', { query: { sequence } });
    } catch (cause) {
      const problem = asProblem(cause);
      if (problem.status !== 404 && problem.status !== 409) this.problem.set(problem);
      return null;
    }
  }

  private async fetchKeys(): Promise<CheckpointKey[]> {
    try {
      return (await this.api.get<Page<CheckpointKey>>('/audit/keys')).items;
    } catch {
      return [];
    }
  }
}
