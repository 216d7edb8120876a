import { ChangeDetectionStrategy, Component, computed, inject, input } from '@angular/core';
import { RouterLink } from '@angular/router';

import { Api } from '@core/api/api';
import { remote } from '@core/api/remote';
import { action } from '@core/feedback/action';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Icon } from '@core/icon/icon';
import { Badge } from '@core/page/badge';
import { PageHeader } from '@core/page/page-header';

interface Named {
  id: string;
  name: string;
}

/** What a sign-in would yield. */
interface TestResult {
  finished?: boolean;
  error?: string;
  cause?: string;
  claims: Record<string, unknown> | null;
  subject?: string;
  email: string;
  email_verified?: boolean | null;
  name: string;
  mfa?: boolean;
  would_be: { user: 'existing' | 'new' | 'refused' | ''; reason: string; roles: Named[] | null; groups: Named[] | null; notes?: string[] | null };
}

/** The result of a test sign-in: what the provider said and what would come of it. */
@Component({
  selector: 'nb-test-result',
  imports: [Badge, Icon, PageHeader, ProblemNotice, RouterLink],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './test-result.html',
  styleUrl: './test-result.scss',
})
export class TestResultPage {
  private readonly api = inject(Api);

  /** Identifier of the provider, from the address. */
  readonly id = input.required<string>();
  /** Identifier of the test, from the address. */
  readonly test = input<string>();

  protected readonly result = remote<TestResult>(() =>
    this.test() ? `/identity-providers/${this.id()}/test/${this.test()}` : null,
  );
  protected readonly provider = remote<{ name: string }>(() => `/identity-providers/${this.id()}`);
  protected readonly back = computed(() => ({
    link: `/identity-providers/${this.id()}`,
    label: this.provider.value()?.name ?? $localize`Sign-in provider`,
  }));
  protected readonly claims = computed(() =>
    Object.entries(this.result.value()?.claims ?? {}).map(([name, value]) => ({
      name,
      value: typeof value === 'string' ? value : JSON.stringify(value, null, 1),
    })),
  );
  protected readonly again = action();

  protected async repeat(): Promise<void> {
    const return_to = `/identity-providers/${this.id()}/test`;
    await this.again.run(async () => {
      const { redirect } = await this.api.post<{ redirect: string }>(`/identity-providers/${this.id()}/test`, { return_to });
      location.assign(redirect);
    });
  }
}
