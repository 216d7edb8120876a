import { DialogRef } from '@angular/cdk/dialog';
import { ChangeDetectionStrategy, Component, inject } from '@angular/core';
import { FormArray, FormControl, FormGroup, ReactiveFormsModule, Validators } from '@angular/forms';

import { Api } from '@core/api/api';
import { DialogFrame } from '@core/dialog/dialog-frame';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Field, FieldInput } from '@core/form/field';
import { submit } from '@core/form/submit';
import { Icon } from '@core/icon/icon';

import { Role, permissionPattern } from './role';

type Decision = 'allow' | 'deny' | 'hard';

/** Makes a role with its grants; closes with it. */
@Component({
  selector: 'nb-create-role',
  imports: [DialogFrame, Field, FieldInput, Icon, ProblemNotice, ReactiveFormsModule],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './create-role.html',
  styles: `
    .grant {
      display: grid;
      grid-template-columns: 9rem minmax(0, 1fr) auto;
      gap: var(--s2);
      align-items: start;
    }
    fieldset {
      display: grid;
      gap: var(--s2);
      min-width: 0;
      margin: 0;
      padding: 0;
      border: 0;
    }
    legend {
      margin-bottom: var(--s1);
      font-size: var(--text-s);
      font-weight: 550;
    }
    .error {
      color: var(--bad);
      font-size: var(--text-s);
    }
    @media (max-width: 480px) {
      .grant {
        grid-template-columns: minmax(0, 1fr) auto;
      }
      .grant select {
        grid-column: 1 / -1;
      }
    }
  `,
})
export class CreateRole {
  private readonly api = inject(Api);
  protected readonly ref = inject<DialogRef<Role>>(DialogRef);
  protected readonly grants = new FormArray([newGrant()]);
  protected readonly form = new FormGroup({
    name: new FormControl('', { nonNullable: true, validators: Validators.required }),
    description: new FormControl('', { nonNullable: true }),
    grants: this.grants,
  });
  protected readonly sending = submit(this.form);

  protected decisionLabel(at: number): string {
    return $localize`Decision of grant ${at + 1}`;
  }

  protected permissionLabel(at: number): string {
    return $localize`Permission of grant ${at + 1}`;
  }

  protected removeLabel(at: number): string {
    return $localize`Remove grant ${at + 1}`;
  }

  protected add(): void {
    this.grants.push(newGrant());
  }

  protected remove(at: number): void {
    this.grants.removeAt(at);
  }

  protected malformed(at: number): boolean {
    this.sending.touched();
    const control = this.grants.at(at).controls.permission;
    return control.touched && control.invalid;
  }

  protected async send(): Promise<void> {
    if (!this.sending.ready()) return;
    const { grants, ...rest } = this.form.getRawValue();
    const body = {
      ...rest,
      grants: grants.map(({ permission, decision }) => ({
        permission,
        effect: decision === 'allow' ? 'allow' : 'deny',
        hard: decision === 'hard',
      })),
    };
    await this.sending.run(async () => this.ref.close(await this.api.post<Role>('/roles', body)));
  }
}

function newGrant() {
  return new FormGroup({
    decision: new FormControl<Decision>('allow', { nonNullable: true }),
    permission: new FormControl('', {
      nonNullable: true,
      validators: [Validators.required, Validators.pattern(permissionPattern)],
    }),
  });
}
