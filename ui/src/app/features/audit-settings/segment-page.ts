import { ChangeDetectionStrategy, Component, computed, effect, inject, input } from '@angular/core';
import { FormControl, FormGroup, ReactiveFormsModule } from '@angular/forms';
import { Router, RouterLink } from '@angular/router';

import { Page } from '@core/api/api';
import { remote } from '@core/api/remote';
import { EventList } from '@core/audit/event-list';
import { Field, FieldInput } from '@core/form/field';
import { formatBytes } from '@core/format/bytes';
import { Icon } from '@core/icon/icon';
import { keysetList } from '@core/list/keyset-list';
import { ListFrame } from '@core/list/list-frame';
import { Badge, Tone } from '@core/page/badge';
import { CopyId } from '@core/page/copy-id';
import { EmptyState } from '@core/page/empty-state';
import { PageHeader } from '@core/page/page-header';
import { Time } from '@core/time/time';

import { Segment, segmentAddress, segmentTone, segmentWord } from './archive';

/** What is shown of a record in the archive. */
interface ArchivedRecord {
  sequence: number;
  time: string;
  event: string;
  outcome: string;
  actor: { name: string };
  target: { kind: string; id?: string; name?: string } | null;
  target_name?: string;
  address: string;
}

const filters = ['q', 'event', 'actor'] as const;

/** One segment of the archive: what it is, and a search in it. The filters live in the address. */
@Component({
  selector: 'nb-segment-page',
  imports: [Badge, CopyId, EmptyState, EventList, Field, FieldInput, Icon, ListFrame, PageHeader, ReactiveFormsModule, RouterLink, Time],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './segment-page.html',
  styleUrl: './segment-page.scss',
})
export class SegmentPage {
  private readonly router = inject(Router);

  /** Identifier of the segment, from the address. */
  readonly id = input.required<string>();
  readonly q = input<string>();
  readonly event = input<string>();
  readonly actor = input<string>();

  // The segments are few; the list is where one is described.
  private readonly segments = remote<Page<Segment>>(() => '/audit/archive/segments?limit=200');
  protected readonly segment = computed(() => this.segments.value()?.items.find((one) => one.id === this.id()) ?? null);
  protected readonly heading = computed(() => {
    const segment = this.segment();
    return segment ? $localize`Records ${segment.first} to ${segment.last}` : $localize`Archive segment`;
  });
  private readonly asked = computed(() => ({ q: this.q() ?? '', event: this.event() ?? '', actor: this.actor() ?? '' }));
  protected readonly filtered = computed(() => Object.values(this.asked()).some(Boolean));
  protected readonly list = keysetList<ArchivedRecord>(() => `/audit/archive/segments/${this.id()}/records`, () => this.asked());
  protected readonly form = new FormGroup({ q: text(), event: text(), actor: text() });
  protected readonly address = computed(() => segmentAddress(this.id()));
  protected readonly word = segmentWord;
  protected readonly segmentTone = segmentTone;
  protected readonly bytes = formatBytes;
  protected readonly back = { link: '/audit-settings/archive', label: $localize`Archive` };

  constructor() {
    effect(() => this.form.setValue(this.asked()));
  }

  protected tone(outcome: string): Tone {
    if (outcome === 'success') return 'good';
    return outcome === 'denied' ? 'warn' : 'bad';
  }

  protected apply(): void {
    const values = this.form.getRawValue();
    const queryParams = Object.fromEntries(filters.map((name) => [name, values[name].trim() || null]));
    void this.router.navigate([], { queryParams });
  }

  protected clear(): void {
    void this.router.navigate([], { queryParams: {} });
  }
}

function text(): FormControl<string> {
  return new FormControl('', { nonNullable: true });
}
