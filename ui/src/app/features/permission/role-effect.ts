import { ChangeDetectionStrategy, Component, computed, inject, input, signal } from '@angular/core';

import { Api } from '@core/api/api';
import { answered } from '@core/api/answered';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Icon } from '@core/icon/icon';
import { Session } from '@core/session/session';

import { changes } from './matrix/effect';
import { Known } from './matrix/matrix';
import { Role, inheritedGrants } from './role';
import { SimulatedChange, SimulatedQuestion, SimulatedResult, roleChange, simulate, turned } from './simulation';
import { NamedSubject, SubjectPicker } from './subject-picker';

/** What a role that is being written would change: by itself, and for somebody on the server. */
@Component({
  selector: 'nb-role-effect',
  imports: [Icon, ProblemNotice, SubjectPicker],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './role-effect.html',
  styleUrl: './role-effect.scss',
})
export class RoleEffect {
  private readonly api = inject(Api);
  protected readonly session = inject(Session);

  readonly draft = input.required<Role>();
  /** The role as it is stored; null for a new one. */
  readonly saved = input<Role | null>(null);
  readonly roles = input.required<readonly Role[]>();
  readonly known = input.required<readonly Known[]>();

  protected readonly subject = signal<NamedSubject | null>(null);
  protected readonly given = signal(false);
  private readonly madeUpId = crypto.randomUUID();
  protected readonly asking = answered<SimulatedResult[]>(() => {
    const question = this.question();
    return question && ((signal) => simulate(this.api, question.change, question.questions, signal));
  });
  protected readonly results = this.asking.value;

  /** What changes in the role itself. */
  protected readonly own = computed(() => {
    const grants = (role: Role | null) =>
      role ? [...role.grants, ...inheritedGrants(role.inherits ?? [], this.roles())] : [];
    return changes(grants(this.saved()), grants(this.draft()), this.known().map((one) => one.permission));
  });
  protected readonly gained = computed(() => this.own().filter((one) => one.after === 'allow'));
  protected readonly lost = computed(() => this.own().filter((one) => one.before === 'allow'));
  protected readonly turned = computed(() => turned(this.results() ?? []));

  private question(): { change: SimulatedChange; questions: SimulatedQuestion[] } | null {
    const who = this.subject();
    if (!who) return null;
    const { subject_kind, subject_id } = who;
    const questions = this.known().map(({ permission }) => ({ subject_kind, subject_id, permission }));
    return { change: roleChange(this.draft(), who, this.given(), this.madeUpId), questions };
  }
}
