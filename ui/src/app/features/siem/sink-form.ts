import { ChangeDetectionStrategy, Component, computed, effect, inject, input, model, output, signal, untracked } from '@angular/core';
import { FormControl, FormGroup, ReactiveFormsModule, Validators } from '@angular/forms';

import { EventCatalogue } from '@core/audit/event-catalogue';
import { EventList } from '@core/audit/event-list';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Choice, Option } from '@core/form/choice';
import { Field, FieldInput } from '@core/form/field';
import { PickList } from '@core/form/pick-list';
import { submit } from '@core/form/submit';
import { Icon } from '@core/icon/icon';

import { Sink, SinkForm as Values, SinkKind, formOf, goesElsewhere, names, priorities, sinkBody } from './sink';

const webhookOnly = ['url', 'secret', 'authorization'] as const;
const syslogOnly = ['address', 'transport', 'format'] as const;
const tlsOnly = ['client_cert_pem', 'client_key_pem'] as const;

/** Takes what a sink is: where, how, which records, with which certificates. */
@Component({
  selector: 'nb-sink-form',
  imports: [Choice, EventList, Field, FieldInput, Icon, PickList, ProblemNotice, ReactiveFormsModule],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './sink-form.html',
  styleUrl: './sink-form.scss',
})
export class SinkForm {
  /** The sink to change; null for a new one. */
  readonly sink = input<Sink | null>(null);
  readonly readonly = input(false);
  /** The button. */
  readonly verb = input.required<string>();
  /** Does the work with a body; the form shows what fails. */
  readonly send = input.required<(body: object) => Promise<unknown>>();
  readonly kind = model<SinkKind>('webhook');
  readonly sent = output();

  private readonly catalogue = inject(EventCatalogue);
  protected readonly form = controls();
  protected readonly saving = submit(this.form);
  protected readonly categories = signal<ReadonlySet<string>>(new Set());
  protected readonly outcomes = signal<ReadonlySet<string>>(new Set());
  protected readonly adding = signal('');
  protected readonly kinds: readonly Option<SinkKind>[] = [
    { value: 'webhook', label: $localize`Webhook`, text: $localize`Signed batches of JSON over HTTPS. It can tell us what it took.` },
    { value: 'syslog', label: $localize`Syslog`, text: $localize`RFC 5424 or CEF over TLS, TCP or UDP, as most collectors take it.` },
  ];
  protected readonly priorities = priorities;
  protected readonly allCategories = computed(() => this.catalogue.categories().map((id) => ({ id, name: id })));
  protected readonly allOutcomes = [
    { id: 'success', name: $localize`success` },
    { id: 'failure', name: $localize`failure` },
    { id: 'denied', name: $localize`denied` },
  ];
  protected readonly events = computed(() => {
    this.saving.touched();
    return names(this.form.controls.events.value);
  });
  protected readonly transport = computed(() => {
    this.saving.touched();
    return this.form.controls.transport.value;
  });
  protected readonly elsewhere = computed(() => {
    this.saving.touched();
    const sink = this.sink();
    const stored = sink && (sink.has_secret || sink.has_authorization || sink.has_client_key);
    return Boolean(stored && goesElsewhere(sink, this.form.getRawValue()));
  });
  protected readonly keeps = $localize`Left empty, the stored one stays.`;
  protected readonly signs = $localize`At least 16 characters. Each batch is signed with it.`;

  constructor() {
    effect(() => {
      const sink = this.sink();
      untracked(() => this.fill(sink));
    });
    effect(() => {
      this.kind();
      this.transport();
      this.readonly();
      untracked(() => this.choose());
    });
  }

  protected describe(event: string): string {
    return this.catalogue.describe(event);
  }

  protected addEvent(): void {
    const all = names(`${this.form.controls.events.value}\n${this.adding()}`);
    this.setEvents(all);
    this.adding.set('');
  }

  protected removeEvent(event: string): void {
    this.setEvents(this.events().filter((one) => one !== event));
  }

  protected async save(): Promise<void> {
    if (this.adding()) this.addEvent();
    if (!this.saving.ready()) return;
    const choices = { categories: this.categories(), outcomes: this.outcomes() };
    const body = sinkBody(this.kind(), this.form.getRawValue(), choices);
    if (await this.saving.run(() => this.send()(this.sink() ? body : { kind: this.kind(), enabled: true, ...body }))) this.sent.emit();
  }

  private setEvents(all: string[]): void {
    this.form.controls.events.setValue(all.join('\n'));
    this.form.controls.events.markAsDirty();
  }

  private fill(sink: Sink | null): void {
    this.form.reset(formOf(sink));
    if (sink) this.kind.set(sink.kind);
    this.categories.set(new Set(sink?.filter?.categories ?? []));
    this.outcomes.set(new Set(sink?.filter?.outcomes ?? []));
    this.choose();
  }

  // Only what belongs to the kind and the transport is asked for and checked.
  private choose(): void {
    const { controls: all } = this.form;
    const webhook = this.kind() === 'webhook';
    const secure = !webhook && all.transport.value === 'tls';
    const editable = !this.readonly();
    for (const name of ['name', 'batch_size', 'events', 'min_priority'] as const) use(all[name], editable);
    for (const name of webhookOnly) use(all[name], editable && webhook);
    for (const name of syslogOnly) use(all[name], editable && !webhook);
    for (const name of tlsOnly) use(all[name], editable && secure);
    use(all.ca_pem, editable && (webhook || secure));
    const must = webhook && !this.sink()?.has_secret;
    all.secret.setValidators(must ? [Validators.required, Validators.minLength(16)] : Validators.minLength(16));
    all.secret.updateValueAndValidity({ emitEvent: false });
  }
}

function use(control: FormControl, on: boolean): void {
  if (on) control.enable({ emitEvent: false });
  else control.disable({ emitEvent: false });
}

function controls(): FormGroup<{ [K in keyof Values]: FormControl<Values[K]> }> {
  const start = formOf(null);
  const text = (name: Exclude<keyof Values, 'batch_size'>, ...validators: typeof Validators.required[]) =>
    new FormControl(start[name], { nonNullable: true, validators });
  return new FormGroup({
    name: text('name', Validators.required),
    url: text('url', Validators.required, Validators.pattern(/^\s*https:\/\/.+/)),
    address: text('address', Validators.required, Validators.pattern(/^\s*\S+:\d+\s*$/)),
    transport: text('transport'),
    format: text('format'),
    batch_size: new FormControl(start.batch_size, {
      nonNullable: true,
      validators: [Validators.required, Validators.min(1), Validators.max(1000)],
    }),
    ca_pem: text('ca_pem'),
    client_cert_pem: text('client_cert_pem'),
    client_key_pem: text('client_key_pem'),
    secret: text('secret'),
    authorization: text('authorization'),
    events: text('events'),
    min_priority: text('min_priority'),
  });
}
