import { ChangeDetectionStrategy, Component, ElementRef, HostListener, computed, effect, inject, input, untracked, viewChild } from '@angular/core';

import { Dialogs } from '@core/dialog/dialogs';
import { Icon } from '@core/icon/icon';
import { PageHeader } from '@core/page/page-header';

import { BasicsStep } from './basics-step';
import { DomainsStep } from './domains-step';
import { Onboarding, StepName, stepNames } from './onboarding';
import { OnboardingResult } from './onboarding-result';
import { ReviewStep } from './review-step';
import { ScimStep } from './scim-step';
import { SignInStep } from './sign-in-step';

/** Makes a tenant step by step: nothing exists before the review is sent. */
@Component({
  selector: 'nb-onboarding-page',
  imports: [BasicsStep, DomainsStep, Icon, OnboardingResult, PageHeader, ReviewStep, ScimStep, SignInStep],
  providers: [Onboarding],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './onboarding-page.html',
  styleUrl: './onboarding-page.scss',
})
export class OnboardingPage {
  private readonly dialogs = inject(Dialogs);
  private readonly title = viewChild<ElementRef<HTMLElement>>('title');
  private readonly resultPage = viewChild(OnboardingResult);
  protected readonly onboarding = inject(Onboarding);
  protected readonly steps = stepNames;
  protected readonly back = { link: '/tenants', label: $localize`Tenants` };

  /** The tenant above, from the address. */
  readonly parent = input<string>();

  protected readonly words: Readonly<Record<StepName, string>> = {
    basics: $localize`Basics`,
    domains: $localize`E-mail domains`,
    sign_in: $localize`Sign-in`,
    scim: $localize`Provisioning`,
    review: $localize`Review`,
  };
  protected readonly leads: Readonly<Record<StepName, string>> = {
    basics: $localize`How it is called, where it lies, and who looks after it.`,
    domains: $localize`Who signs in with an address of these domains is led to this tenant.`,
    sign_in: $localize`Local accounts always work at first. An identity provider can be added now or later.`,
    scim: $localize`Your identity provider can make and remove people and groups here by itself (SCIM 2.0).`,
    review: $localize`Nothing exists yet. Everything is made at once, or nothing.`,
  };
  protected readonly heading = computed(() => {
    const result = this.onboarding.result();
    return result ? $localize`${result.tenant.name} is ready` : $localize`New tenant`;
  });

  constructor() {
    effect(() => {
      const parent = this.parent();
      if (parent) untracked(() => this.onboarding.basics.patchValue({ parent_id: parent }));
    });
    let before = this.onboarding.step();
    effect(() => {
      const step = this.onboarding.step();
      if (step !== before) setTimeout(() => this.title()?.nativeElement.focus());
      before = step;
    });
  }

  @HostListener('window:beforeunload', ['$event'])
  protected warn(event: BeforeUnloadEvent): void {
    if (this.losesSomething()) event.preventDefault();
  }

  /** Asks before answers, or secrets that are shown once, are lost. */
  mayLeave(): Promise<boolean> | boolean {
    if (!this.losesSomething()) return true;
    const made = this.onboarding.result() !== null;
    return this.dialogs.confirm({
      heading: made ? $localize`Leave without copying?` : $localize`Leave the wizard?`,
      text: made
        ? $localize`What is shown here is shown this once. You said that you have not copied it all.`
        : $localize`The tenant is not made, and what you entered is lost.`,
      verb: $localize`Leave`,
      danger: true,
    });
  }

  private losesSomething(): boolean {
    if (this.onboarding.result()) return this.resultPage()?.open() ?? false;
    return this.onboarding.touched();
  }
}
