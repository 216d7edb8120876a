import { ChangeDetectionStrategy, Component, computed, inject, input, linkedSignal, signal } from '@angular/core';
import { RouterLink } from '@angular/router';

import { Api } from '@core/api/api';
import { action } from '@core/feedback/action';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Field, FieldInput } from '@core/form/field';
import { Icon } from '@core/icon/icon';
import { SearchBox } from '@core/list/search-box';
import { PageHeader } from '@core/page/page-header';
import { Decision, Source } from '@core/permission/decision';
import { DecisionView } from '@core/permission/decision-view';
import { SubjectKind, questionPattern } from '@core/permission/grant';
import { GrantChip } from '@core/permission/grant-chip';
import { GrantLimits } from '@core/permission/grant-limits';
import { Session } from '@core/session/session';
import { fromInput } from '@core/time/zone';

import { PermissionField } from './permission-field';
import { PermissionTabs } from './permission-tabs';
import { kindWord } from './role';
import { NamedSubject, SubjectPicker } from './subject-picker';
import { Vocabulary } from './vocabulary';

type Mode = 'why' | 'what' | 'who';

/** One of those who may do something. */
interface Holder {
  subject_kind: SubjectKind;
  subject_id: string;
  name?: string;
  via?: string;
  /** It depends on when, from where or how they ask. */
  conditional?: boolean;
}

/** Asks why somebody may do something, what somebody may do, and who may do something. */
@Component({
  selector: 'nb-explain-page',
  imports: [
    DecisionView, Field, FieldInput, GrantChip, GrantLimits, Icon, PageHeader, PermissionField, PermissionTabs, ProblemNotice, RouterLink, SearchBox, SubjectPicker,
  ],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './explain-page.html',
  styleUrl: './explain-page.scss',
})
export class ExplainPage {
  private readonly api = inject(Api);
  protected readonly session = inject(Session);
  protected readonly vocabulary = inject(Vocabulary);

  /** What to ask about, from the address. */
  readonly permission = input<string>();

  protected readonly modes: readonly { value: Mode; label: string }[] = [
    { value: 'why', label: $localize`Why may somebody, or not?` },
    { value: 'what', label: $localize`What may somebody do?` },
    { value: 'who', label: $localize`Who may do it?` },
  ];
  protected readonly mode = signal<Mode>('why');
  protected readonly subject = signal<NamedSubject | null>(null);
  protected readonly wanted = linkedSignal(() => this.permission() ?? '');
  protected readonly compartment = signal('');
  protected readonly kind = signal('');
  protected readonly attributes = signal('');
  protected readonly at = signal('');
  protected readonly address = signal('');
  protected readonly mfa = signal(false);
  protected readonly tried = signal(false);
  protected readonly query = signal('');

  protected readonly decision = signal<Decision | null>(null);
  protected readonly effective = signal<readonly Source[] | null>(null);
  protected readonly holders = signal<readonly Holder[] | null>(null);
  protected readonly asking = action();
  protected readonly kindOf = kindWord;
  protected readonly myself = $localize`Myself`;
  protected readonly shown = computed(() =>
    (this.effective() ?? []).filter((one) => `${one.permission} ${one.via ?? ''}`.toLowerCase().includes(this.query().toLowerCase())),
  );

  protected choose(mode: Mode): void {
    this.mode.set(mode);
    this.tried.set(false);
    this.asking.clear();
  }

  protected permissionError(): string {
    if (!this.tried() || questionPattern.test(this.wanted())) return this.asking.problem()?.field('permission') ?? '';
    return $localize`Write domain:resource:action, in small letters, without *.`;
  }

  protected attributesError(): string {
    return this.tried() && this.known() === null ? $localize`Write an object in JSON: { "environment": "test" }` : '';
  }

  protected async ask(event: Event): Promise<void> {
    event.preventDefault();
    this.tried.set(true);
    if (this.mode() !== 'what' && (this.permissionError() || this.attributesError())) return;
    this.tried.set(false);
    await this.asking.run(() => this.send());
  }

  protected holderName(one: Holder): string {
    return one.name ?? one.subject_id;
  }

  private async send(): Promise<void> {
    const permission = this.wanted();
    switch (this.mode()) {
      case 'why':
        return this.decision.set(await this.api.post<Decision>('/permissions/explain', this.question()));
      case 'what': {
        const query = this.who();
        return this.effective.set((await this.api.get<{ items: Source[] }>('/permissions/effective', { query })).items);
      }
      case 'who': {
        const body = { permission, ...this.resource() };
        return this.holders.set((await this.api.post<{ items: Holder[] }>('/permissions/holders', body)).items);
      }
    }
  }

  private question(): object {
    const at = fromInput(this.at());
    return {
      permission: this.wanted(),
      ...this.asSomebody(),
      ...this.resource(),
      ...(at ? { at } : {}),
      ...(this.mfa() && this.subject() ? { mfa: true } : {}),
      ...(this.address() ? { address: this.address() } : {}),
    };
  }

  private asSomebody(): object {
    const subject = this.subject();
    return subject ? { subject_kind: subject.subject_kind, subject_id: subject.subject_id } : {};
  }

  private who(): { subject_kind: string; subject_id: string } {
    const { subject_kind, subject_id } = this.subject() ?? { subject_kind: 'user', subject_id: this.session.user()?.id ?? '' };
    return { subject_kind, subject_id };
  }

  private resource(): object {
    const attributes = this.known() ?? {};
    const parts = {
      ...(this.compartment() ? { compartment_id: this.compartment() } : {}),
      ...(this.kind() ? { kind: this.kind() } : {}),
      ...(Object.keys(attributes).length ? { attributes } : {}),
    };
    return Object.keys(parts).length ? { resource: parts } : {};
  }

  // known reads the attributes; null when they are no object.
  private known(): Record<string, unknown> | null {
    if (!this.attributes().trim()) return {};
    try {
      const value = JSON.parse(this.attributes()) as unknown;
      return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : null;
    } catch {
      return null;
    }
  }
}
