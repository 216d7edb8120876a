import { ChangeDetectionStrategy, Component, inject, signal } from '@angular/core';
import { FormControl, FormGroup, ReactiveFormsModule, Validators } from '@angular/forms';

import { Api } from '@core/api/api';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Field, FieldInput } from '@core/form/field';
import { submit } from '@core/form/submit';
import { Icon } from '@core/icon/icon';
import { keysetList } from '@core/list/keyset-list';

import { GrantChip } from './grant-chip';
import { Explanation, RoleGrant, permissionPattern } from './role';

/** Asks why somebody may do something or may not. */
@Component({
  selector: 'nb-explain',
  imports: [Field, FieldInput, GrantChip, Icon, ProblemNotice, ReactiveFormsModule],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './explain.html',
  styleUrl: './explain.scss',
})
export class Explain {
  private readonly api = inject(Api);
  protected readonly users = keysetList<{ id: string; name: string }>('/users');
  protected readonly answer = signal<Explanation | null>(null);
  protected readonly form = new FormGroup({
    user_id: new FormControl('', { nonNullable: true }),
    permission: new FormControl('', {
      nonNullable: true,
      validators: [Validators.required, Validators.pattern(permissionPattern)],
    }),
  });
  protected readonly asking = submit(this.form);
  protected readonly permissionHint = $localize`Write domain:resource:action, in small letters.`;

  protected decides(answer: Explanation, grant: RoleGrant): boolean {
    const by = answer.decided_by;
    return by?.role === grant.role && by.permission === grant.permission && by.effect === grant.effect;
  }

  protected async ask(): Promise<void> {
    if (!this.asking.ready()) return;
    const { user_id, permission } = this.form.getRawValue();
    const body = user_id ? { user_id, permission } : { permission };
    await this.asking.run(async () =>
      this.answer.set(await this.api.post<Explanation>('/permissions/explain', body)),
    );
  }
}
