import { ChangeDetectionStrategy, Component, computed, effect, input, output, signal } from '@angular/core';
import { FormControl, FormGroup, ReactiveFormsModule } from '@angular/forms';

import { Page } from '@core/api/api';
import { remote } from '@core/api/remote';
import { Field, FieldInput } from '@core/form/field';
import { Icon } from '@core/icon/icon';
import { fromInput, toInput } from '@core/time/zone';

import { AuditFilter, countOf, noFilter, presets, priorities } from './filter';
import { EventType } from './record';

/** What is looked for. The text, event and time stand open; the rest opens when wanted. */
@Component({
  selector: 'nb-filter-bar',
  imports: [Field, FieldInput, Icon, ReactiveFormsModule],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './filter-bar.html',
  styleUrl: './filter-bar.scss',
})
export class FilterBar {
  readonly filter = input.required<AuditFilter>();
  /** Offers words and times; the live feed has neither. */
  readonly stored = input(true);
  readonly changed = output<AuditFilter>();

  private readonly catalogue = remote<Page<EventType>>(() => '/audit/events');
  protected readonly events = computed(() => this.catalogue.value()?.items ?? []);
  protected readonly categories = computed(() => [...new Set(this.events().map((each) => each.category))].sort());
  protected readonly count = computed(() => countOf(this.filter()));
  protected readonly more = signal(false);
  protected readonly presets = Object.keys(presets);
  protected readonly priorities = priorities;
  protected readonly form = new FormGroup({
    q: text(),
    event: text(),
    category: text(),
    priority: text(),
    outcome: text(),
    actor: text(),
    on_behalf_of: text(),
    target: text(),
    target_kind: text(),
    address: text(),
    request_id: text(),
    from: text(),
    to: text(),
  });

  constructor() {
    effect(() => this.show(this.filter()));
  }

  protected apply(): void {
    const { event, from, to, ...rest } = this.form.getRawValue();
    const asked = this.filter();
    const added = event.trim();
    const range = { from: fromInput(from) ?? '', to: fromInput(to) ?? '' };
    this.changed.emit({
      ...rest,
      event: added && !asked.event.includes(added) ? [...asked.event, added] : asked.event,
      ...range,
      last: range.from || range.to ? '' : asked.last,
    });
  }

  protected preset(last: string): void {
    this.changed.emit({ ...this.filter(), last, from: '', to: '' });
  }

  protected without(code: string): void {
    this.changed.emit({ ...this.filter(), event: this.filter().event.filter((each) => each !== code) });
  }

  protected clear(): void {
    this.changed.emit(noFilter());
  }

  protected removes(code: string): string {
    return $localize`Take ${code} out of the filter`;
  }

  private show(filter: AuditFilter): void {
    const { last: _last, event: _event, from, to, ...rest } = filter;
    this.form.setValue({ ...rest, event: '', from: toInput(from), to: toInput(to) });
    const { category, priority, outcome, actor, on_behalf_of, target, target_kind, address, request_id } = rest;
    const hidden = [category, priority, outcome, actor, on_behalf_of, target, target_kind, address, request_id, from, to];
    if (hidden.some(Boolean)) this.more.set(true);
  }
}

function text(): FormControl<string> {
  return new FormControl('', { nonNullable: true });
}
