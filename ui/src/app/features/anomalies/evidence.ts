import { ChangeDetectionStrategy, Component, computed, effect, inject, input, signal, untracked } from '@angular/core';
import { RouterLink } from '@angular/router';

import { Api, isAbort } from '@core/api/api';
import { Badge, Tone } from '@core/page/badge';
import { Session } from '@core/session/session';
import { Time } from '@core/time/time';

/** What is shown of a record. */
interface EvidenceRecord {
  sequence: number;
  time: string;
  event: string;
  outcome: string;
  actor: { name: string };
  address: string;
}

const most = 10;

/** The records that a finding comes from: the newest with who and where from, the others as links. */
@Component({
  selector: 'nb-evidence',
  imports: [Badge, RouterLink, Time],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    @if (records().length) {
      <div class="scroll" tabindex="0" role="region" i18n-aria-label aria-label="Records">
        <table class="table">
          <thead>
            <tr>
              <th scope="col" class="num">#</th>
              <th scope="col" i18n>When</th>
              <th scope="col" i18n>Event</th>
              <th scope="col" i18n>Outcome</th>
              <th scope="col" i18n>Who</th>
              <th scope="col" i18n>From</th>
            </tr>
          </thead>
          <tbody>
            @for (record of records(); track record.sequence) {
              <tr>
                <td class="num mono faint">{{ record.sequence }}</td>
                <td><nb-time [at]="record.time" /></td>
                <th scope="row" class="nowrap"><a class="mono" [routerLink]="['/audit', record.sequence]">{{ record.event }}</a></th>
                <td><nb-badge [tone]="tone(record.outcome)" [bare]="true">{{ record.outcome }}</nb-badge></td>
                <td class="nowrap">{{ record.actor.name }}</td>
                <td class="mono soft">{{ record.address }}</td>
              </tr>
            }
          </tbody>
        </table>
      </div>
    }
    <p class="body small-text soft links">
      @if (!linked()) {
        @if (provider()) {
          <ng-container i18n>Sign-ins are recorded in the provider’s chain. Whoever works for the provider finds these records there:</ng-container>
        } @else {
          <ng-container i18n>Records of this tenant’s chain; reading them needs audit:record:read:</ng-container>
        }
        @for (sequence of sequences(); track sequence) {
          <span class="mono">{{ sequence }}</span>
        }
      } @else {
        @if (others().length) {
          <ng-container i18n>Other records:</ng-container>
        }
        @for (sequence of others(); track sequence) {
          <a class="mono" [routerLink]="['/audit', sequence]">{{ sequence }}</a>
        }
        @if (count() > sequences().length) {
          <span i18n>and {{ count() - sequences().length }} older ones.</span>
        }
      }
    </p>
  `,
  styles: `
    .links {
      display: flex;
      flex-wrap: wrap;
      gap: var(--s1) var(--s2);
      padding: var(--s3) var(--s4);
    }
    .links:empty {
      display: none;
    }
  `,
})
export class Evidence {
  private readonly api = inject(Api);
  private readonly session = inject(Session);

  readonly evidence = input.required<readonly number[]>();
  /** How many records belong to the finding in all. */
  readonly count = input.required<number>();
  readonly provider = input(false);

  protected readonly records = signal<readonly EvidenceRecord[]>([]);
  protected readonly sequences = computed(() => [...this.evidence()].sort((a, b) => b - a));
  /** Whether the records lie in the chain that this session reads. */
  protected readonly linked = computed(
    () => this.session.can('audit:record:read') && (!this.provider() || Boolean(this.session.tenant()?.is_root)),
  );
  protected readonly others = computed(() => {
    const shown = new Set(this.records().map((record) => record.sequence));
    return this.sequences().filter((sequence) => !shown.has(sequence));
  });

  constructor() {
    effect((cleanup) => {
      const wanted = this.linked() ? this.sequences().slice(0, most) : [];
      const running = new AbortController();
      cleanup(() => running.abort());
      untracked(() => void this.read(wanted, running.signal));
    });
  }

  protected tone(outcome: string): Tone {
    if (outcome === 'success') return 'good';
    return outcome === 'denied' ? 'warn' : 'bad';
  }

  // A record that cannot be read, for example because it was pruned, stays a link.
  private async read(wanted: number[], signal: AbortSignal): Promise<void> {
    const one = (sequence: number) =>
      this.api.get<EvidenceRecord>(`/audit/records/${sequence}`, { signal }).catch((cause: unknown) => {
        if (isAbort(cause)) throw cause;
        return null;
      });
    try {
      const read = await Promise.all(wanted.map(one));
      this.records.set(read.filter((record): record is EvidenceRecord => record !== null && Boolean(record.time)));
    } catch {
      // The next question is on its way.
    }
  }
}
