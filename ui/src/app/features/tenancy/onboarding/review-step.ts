import { ChangeDetectionStrategy, Component, computed, inject } from '@angular/core';

import { Page } from '@core/api/api';
import { remote } from '@core/api/remote';
import { action } from '@core/feedback/action';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Session } from '@core/session/session';

import { Tenant } from '../tenant';
import { Onboarding, StepName } from './onboarding';

interface Fact {
  step: StepName;
  title: string;
  lines: string[];
}

/** The last step: everything as it will be made, and the button that makes it. */
@Component({
  selector: 'nb-review-step',
  imports: [ProblemNotice],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <div class="stack">
      <nb-problem [problem]="creating.problem()" />
      <ul>
        @for (fact of facts(); track fact.step) {
          <li>
            <div>
              <h3>{{ fact.title }}</h3>
              @for (line of fact.lines; track $index) {
                <p [class.soft]="$index > 0">{{ line }}</p>
              }
            </div>
            <button type="button" class="button small quiet" (click)="onboarding.step.set(fact.step)" i18n>
              Change<span class="visually-hidden">: {{ fact.title }}</span>
            </button>
          </li>
        }
      </ul>
      <div class="row end">
        <button type="button" class="button" (click)="onboarding.step.set('scim')" i18n>Back</button>
        <button type="button" class="button primary" [disabled]="creating.busy()" (click)="create()">
          @if (creating.busy()) {
            <ng-container i18n>Making the tenant …</ng-container>
          } @else {
            <ng-container i18n>Create tenant</ng-container>
          }
        </button>
      </div>
    </div>
  `,
  styles: `
    ul {
      border: 1px solid var(--line);
      border-radius: var(--radius-s);
    }
    li {
      display: flex;
      align-items: flex-start;
      justify-content: space-between;
      gap: var(--s3);
      padding: var(--s3) var(--s4);
    }
    li + li {
      border-top: 1px solid var(--line);
    }
    li > div {
      min-width: 0;
      overflow-wrap: anywhere;
    }
    h3 {
      color: var(--ink-soft);
      font-size: var(--text-s);
      font-weight: 400;
    }
  `,
})
export class ReviewStep {
  private readonly session = inject(Session);
  private readonly tenants = remote<Page<Tenant>>(() => '/tenants');
  protected readonly onboarding = inject(Onboarding);
  protected readonly creating = action();

  protected readonly facts = computed<Fact[]>(() => {
    const { basics, administrator, domains, sign_in, scim } = this.onboarding.answers();
    const parent = this.tenants.value()?.items.find((one) => one.id === basics.parent_id);
    const under = parent?.name ?? this.session.tenant()?.name ?? '';
    return [
      {
        step: 'basics',
        title: $localize`Basics`,
        lines: [
          basics.name,
          $localize`Under ${under}`,
          ...[basics.contact_email, basics.description].filter(Boolean),
          whoAdministers(administrator),
        ],
      },
      {
        step: 'domains',
        title: $localize`E-mail domains`,
        lines: domains.length > 0 ? [domains.join(', ')] : [$localize`None`],
      },
      { step: 'sign_in', title: $localize`Sign-in`, lines: howToSignIn(sign_in) },
      {
        step: 'scim',
        title: $localize`Provisioning`,
        lines: scim.make
          ? [$localize`A SCIM token called ${scim.name}`, $localize`Ends after ${scim.expires_in_days} days`]
          : [$localize`No SCIM token`],
      },
    ];
  });

  protected async create(): Promise<void> {
    if (await this.creating.run(() => this.onboarding.create())) {
      await this.session.refresh().catch(() => undefined);
    }
  }
}

type Answers = ReturnType<Onboarding['answers']>;

function whoAdministers({ way, name, email }: Answers['administrator']): string {
  switch (way) {
    case 'invite':
      return $localize`${name} (${email}) is invited as its administrator`;
    case 'password':
      return $localize`${name} (${email}) becomes its administrator with a first password`;
    case 'later':
      return $localize`No administrator yet`;
  }
}

function howToSignIn(one: Answers['sign_in']): string[] {
  if (one.kind === 'local') return [$localize`Local accounts`];
  const kind = one.kind === 'oidc' ? 'OpenID Connect' : 'SAML 2.0';
  const pasted = one.kind === 'saml' && one.metadata === 'xml';
  return [
    $localize`${one.name} by ${kind}:kind:, beside local accounts`,
    pasted ? $localize`Metadata as pasted` : one.kind === 'oidc' ? one.issuer : one.metadata_url,
    one.jit_users ? $localize`Accounts are made at the first sign-in` : $localize`Only people who are known already come in`,
  ];
}
