import { ChangeDetectionStrategy, Component, computed, input, linkedSignal, model, signal } from '@angular/core';

import { Page } from '@core/api/api';
import { remote } from '@core/api/remote';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Field, FieldInput } from '@core/form/field';
import { Subject, SubjectKind } from '@core/permission/grant';

/** Somebody by name. */
export interface NamedSubject extends Subject {
  name: string;
}

const paths: Record<SubjectKind, string> = {
  user: '/users',
  group: '/groups',
  service_account: '/service-accounts',
};
const most = 200;

/** Chooses a person, a group or a service account; a long list is searched on the server. */
@Component({
  selector: 'nb-subject-picker',
  imports: [Field, FieldInput, ProblemNotice],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './subject-picker.html',
  styles: `
    :host {
      display: grid;
      grid-template-columns: repeat(auto-fit, minmax(min(10rem, 100%), 1fr));
      gap: var(--s3);
    }
    nb-problem {
      grid-column: 1 / -1;
    }
  `,
})
export class SubjectPicker {
  /** The chosen one, or null. */
  readonly subject = model<NamedSubject | null>(null);
  /** What stands there when nobody is chosen. */
  readonly nobody = input($localize`Choose …`);
  readonly error = input('');

  protected readonly kind = linkedSignal<SubjectKind>(() => this.subject()?.subject_kind ?? 'user');
  protected readonly query = signal('');
  protected readonly found = remote<Page<{ id: string; name: string; email?: string }>>(() => ({
    path: paths[this.kind()],
    query: { q: this.query(), limit: most },
  }));
  protected readonly long = computed(() => this.query() !== '' || Boolean(this.found.value()?.next));
  protected readonly items = computed(() => {
    const items = this.found.value()?.items ?? [];
    const chosen = this.subject();
    if (!chosen || chosen.subject_kind !== this.kind() || items.some((one) => one.id === chosen.subject_id)) return items;
    return [{ id: chosen.subject_id, name: chosen.name }, ...items];
  });
  private timer: ReturnType<typeof setTimeout> | undefined;

  protected toKind(kind: string): void {
    this.query.set('');
    this.subject.set(null);
    this.kind.set(kind as SubjectKind);
  }

  protected search(text: string): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.query.set(text.trim()), 250);
  }

  protected choose(id: string): void {
    const one = this.items().find((item) => item.id === id);
    const kind = this.kind();
    this.subject.set(one ? { subject_kind: kind, subject_id: one.id, name: one.name } : null);
    this.kind.set(kind);
  }
}
