import { ChangeDetectionStrategy, Component, computed, inject } from '@angular/core';
import { toSignal } from '@angular/core/rxjs-interop';
import { ReactiveFormsModule } from '@angular/forms';

import { Choice, Option } from '@core/form/choice';
import { Field, FieldInput } from '@core/form/field';
import { Icon } from '@core/icon/icon';
import { CopyBlock } from '@core/page/copy-block';
import { Session } from '@core/session/session';

import { Onboarding } from './onboarding';
import { Answers } from './request';

type Kind = Answers['sign_in']['kind'];

/** Step 3: local accounts only, or an identity provider too. */
@Component({
  selector: 'nb-sign-in-step',
  imports: [Choice, CopyBlock, Field, FieldInput, Icon, ReactiveFormsModule],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './sign-in-step.html',
})
export class SignInStep {
  private readonly session = inject(Session);
  protected readonly onboarding = inject(Onboarding);
  protected readonly sending = this.onboarding.signInSubmit;
  protected readonly kind = toSignal(this.onboarding.signIn.controls.kind.valueChanges, {
    initialValue: this.onboarding.signIn.controls.kind.value,
  });
  protected readonly metadata = toSignal(this.onboarding.signIn.controls.metadata.valueChanges, {
    initialValue: this.onboarding.signIn.controls.metadata.value,
  });
  protected readonly redirect = computed(
    () => `${(this.session.current()?.appliance.url ?? location.origin).replace(/\/$/, '')}/v1/session/oidc/callback`,
  );
  protected readonly kinds: readonly Option<Kind>[] = [
    {
      value: 'local',
      label: $localize`Local accounts`,
      text: $localize`A password kept here, with a second factor if you want. Good for small tenants.`,
    },
    {
      value: 'oidc',
      label: $localize`OpenID Connect`,
      text: $localize`Entra ID, Okta, Google, Keycloak, Authentik and most others. Choose this when in doubt.`,
    },
    {
      value: 'saml',
      label: $localize`SAML 2.0`,
      text: $localize`For identity providers without OpenID Connect, such as AD FS.`,
    },
  ];

  protected choose(kind: Kind): void {
    this.onboarding.signIn.controls.kind.setValue(kind);
  }

  protected next(): void {
    if (this.sending.ready()) this.onboarding.next('sign_in');
  }
}
