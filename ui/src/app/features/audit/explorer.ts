import { ChangeDetectionStrategy, Component, computed, effect, inject, input } from '@angular/core';
import { FormControl, FormGroup, ReactiveFormsModule } from '@angular/forms';
import { Router, RouterLink } from '@angular/router';

import { Field, FieldInput } from '@core/form/field';
import { keysetList } from '@core/list/keyset-list';
import { ListFrame } from '@core/list/list-frame';
import { Badge } from '@core/page/badge';
import { EmptyState } from '@core/page/empty-state';
import { PageHeader } from '@core/page/page-header';
import { Time } from '@core/time/time';

import { AuditRecord, outcomeTone } from './record';
import { Verify } from './verify';

const filters = ['q', 'actor', 'event', 'outcome', 'target', 'from', 'to'] as const;

/** The audit chain of the active tenant, newest first. The filters live in the address. */
@Component({
  selector: 'nb-audit-explorer',
  imports: [
    Badge,
    EmptyState,
    Field,
    FieldInput,
    ListFrame,
    PageHeader,
    ReactiveFormsModule,
    RouterLink,
    Time,
    Verify,
  ],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './explorer.html',
  styleUrl: './explorer.scss',
})
export class AuditExplorer {
  private readonly router = inject(Router);

  readonly q = input<string>();
  readonly actor = input<string>();
  readonly event = input<string>();
  readonly outcome = input<string>();
  readonly target = input<string>();
  /** First moment, as the browser's local `2026-11-23T09:30`. */
  readonly from = input<string>();
  /** Last moment, likewise. */
  readonly to = input<string>();

  private readonly asked = computed(() => ({
    q: this.q() ?? '',
    actor: this.actor() ?? '',
    event: this.event() ?? '',
    outcome: this.outcome() ?? '',
    target: this.target() ?? '',
    from: this.from() ?? '',
    to: this.to() ?? '',
  }));
  protected readonly filtered = computed(() => Object.values(this.asked()).some(Boolean));
  protected readonly list = keysetList<AuditRecord>('/audit/records', () => {
    const asked = this.asked();
    return { ...asked, from: utc(asked.from), to: utc(asked.to) };
  });
  protected readonly form = new FormGroup({
    q: text(),
    actor: text(),
    event: text(),
    outcome: text(),
    target: text(),
    from: text(),
    to: text(),
  });
  protected readonly tone = outcomeTone;

  constructor() {
    effect(() => this.form.setValue(this.asked()));
  }

  protected apply(): void {
    const values = this.form.getRawValue();
    const queryParams = Object.fromEntries(filters.map((name) => [name, values[name] || null]));
    void this.router.navigate([], { queryParams });
  }

  protected clear(): void {
    void this.router.navigate([], { queryParams: {} });
  }
}

function text(): FormControl<string> {
  return new FormControl('', { nonNullable: true });
}

function utc(local: string): string {
  const at = new Date(local);
  return local && !Number.isNaN(at.getTime()) ? at.toISOString() : '';
}
