import { Injectable, computed, inject } from '@angular/core';

import { Page } from '../api/api';
import { remote } from '../api/remote';
import { Session } from '../session/session';

/** One kind of event that the appliance records. */
export interface EventType {
  code: string;
  category: string;
  priority: string;
  description: string;
}

/** Something to offer where an event, or all events below a prefix, can be named. */
export interface EventChoice {
  value: string;
  label: string;
}

/** Every prefix and code, the prefixes first where they end with the same word: `identity`, `identity.user`, `identity.user.created`. */
export function choicesOf(types: readonly EventType[]): EventChoice[] {
  const choices = new Map<string, string>();
  for (const type of [...types].sort((a, b) => (a.code < b.code ? -1 : 1))) {
    for (const prefix of prefixesOf(type.code)) {
      if (!choices.has(prefix)) choices.set(prefix, $localize`everything in ${prefix}`);
    }
    choices.set(type.code, type.description);
  }
  return [...choices].map(([value, label]) => ({ value, label }));
}

/** Whether a code is the event of a rule or lies below its prefix. */
export function covers(prefix: string, code: string): boolean {
  return prefix === code || code.startsWith(`${prefix}.`);
}

function prefixesOf(code: string): string[] {
  const parts = code.split('.');
  return parts.slice(1).map((_, at) => parts.slice(0, at + 1).join('.'));
}

/** The events that the appliance can record, read once. */
@Injectable({ providedIn: 'root' })
export class EventCatalogue {
  private readonly session = inject(Session);
  private readonly told = remote<Page<EventType>>(() => (this.session.signedIn() ? '/audit/events' : null));

  readonly types = computed(() => this.told.value()?.items ?? []);
  readonly choices = computed(() => choicesOf(this.types()));
  readonly categories = computed(() => [...new Set(this.types().map((type) => type.category))].sort());

  /** What a code or a prefix is, in words; empty when it is not known. */
  describe(event: string): string {
    return this.choices().find((one) => one.value === event)?.label ?? '';
  }
}
