import { DIALOG_DATA, DialogRef } from '@angular/cdk/dialog';
import { ChangeDetectionStrategy, Component, inject, signal } from '@angular/core';

import { DialogFrame } from '@core/dialog/dialog-frame';
import { action } from '@core/feedback/action';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Field, FieldInput } from '@core/form/field';
import { Grant, Subject, permissionPattern } from '@core/permission/grant';

import { ConditionEditor } from './condition/condition-editor';
import { Limits, LimitsField } from './limits-field';
import { Saying, sayingOf } from './matrix/effect';
import { PermissionField } from './permission-field';
import { NamedSubject, SubjectPicker } from './subject-picker';
import { Vocabulary } from './vocabulary';

/** What the dialog begins with, and what happens with what it makes. */
export interface GrantQuestion {
  heading: string;
  verb: string;
  grant?: Grant;
  /** Set when it also asks to whom the grant is given. */
  withSubject?: boolean;
  subject?: NamedSubject | null;
  vocabulary: Vocabulary;
  /** Sends it; a failure stays in the dialog. */
  send?: (grant: Grant & Partial<Subject>) => Promise<unknown>;
}

/** A grant, with the holder when one was asked for. */
export interface AnsweredGrant {
  grant: Grant;
  subject: NamedSubject | null;
}

/** Makes or changes one grant with all its limits; closes with an AnsweredGrant. */
@Component({
  selector: 'nb-grant-dialog',
  imports: [ConditionEditor, DialogFrame, Field, FieldInput, LimitsField, PermissionField, ProblemNotice, SubjectPicker],
  providers: [{ provide: Vocabulary, useFactory: () => inject<GrantQuestion>(DIALOG_DATA).vocabulary }],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './grant-dialog.html',
})
export class GrantDialog {
  protected readonly ref = inject<DialogRef<AnsweredGrant>>(DialogRef);
  protected readonly asked = inject<GrantQuestion>(DIALOG_DATA);
  protected readonly subject = signal<NamedSubject | null>(this.asked.subject ?? null);
  protected readonly permission = signal(this.asked.grant?.permission ?? '');
  protected readonly saying = signal<Saying>(this.asked.grant ? sayingOf(this.asked.grant) : 'allow');
  protected readonly limits = signal<Limits>(this.asked.grant ?? {});
  protected readonly condition = signal(this.asked.grant?.condition ?? '');
  protected readonly tried = signal(false);
  protected readonly sending = action();

  protected subjectError(): string {
    return this.tried() && this.asked.withSubject && !this.subject() ? $localize`Choose who gets it.` : '';
  }

  protected permissionError(): string {
    if (!this.tried() || permissionPattern.test(this.permission())) return this.sending.problem()?.field('permission') ?? '';
    return $localize`Write domain:resource:action, in small letters; * stands for any.`;
  }

  protected async done(event: Event): Promise<void> {
    event.preventDefault();
    this.tried.set(true);
    if (this.subjectError() || this.permissionError()) return;
    const grant = this.grant();
    const subject = this.subject();
    const body = subject ? { subject_kind: subject.subject_kind, subject_id: subject.subject_id, ...grant } : grant;
    if (this.asked.send && !(await this.sending.run(async () => this.asked.send?.(body)))) return;
    this.ref.close({ grant, subject });
  }

  private grant(): Grant {
    const saying = this.saying();
    const { compartment_id, not_before, expires_at } = this.limits();
    const condition = this.condition().trim();
    return {
      permission: this.permission(),
      effect: saying === 'allow' ? 'allow' : 'deny',
      ...(saying === 'hard' ? { hard: true } : {}),
      ...(condition ? { condition } : {}),
      ...(compartment_id ? { compartment_id } : {}),
      ...(not_before ? { not_before } : {}),
      ...(expires_at ? { expires_at } : {}),
    };
  }
}
