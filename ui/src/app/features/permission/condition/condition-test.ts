import { ChangeDetectionStrategy, Component, computed, inject, input, signal } from '@angular/core';

import { Api } from '@core/api/api';
import { answered } from '@core/api/answered';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Field, FieldInput } from '@core/form/field';
import { Icon } from '@core/icon/icon';
import { Session } from '@core/session/session';

import { newSample, readSample } from './sample';

interface Answer {
  result: boolean | null;
  error?: string | null;
  cost?: number | null;
}

/** Tries a condition with a sample; the answer follows what is typed. */
@Component({
  selector: 'nb-condition-test',
  imports: [Field, FieldInput, Icon, ProblemNotice],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './condition-test.html',
  styles: `
    :host {
      display: grid;
      grid-template-columns: minmax(0, 1fr);
      gap: var(--s2);
    }
    summary {
      width: fit-content;
      color: var(--ink-soft);
      font-size: var(--text-s);
      cursor: pointer;
    }
    nb-field {
      margin-top: var(--s2);
    }
    .notice {
      padding-block: var(--s2);
    }
  `,
})
export class ConditionTest {
  private readonly api = inject(Api);
  readonly condition = input.required<string>();

  protected readonly text = signal(
    JSON.stringify(newSample(new Date(), inject(Session).user()?.name ?? ''), null, 2),
  );
  private readonly read = computed(() => readSample(this.text()));
  protected readonly wrong = computed(() => {
    const read = this.read();
    return typeof read === 'string' ? read : '';
  });
  protected readonly trying = answered<Answer>(() => {
    const sample = this.read();
    const body = { condition: this.condition(), sample };
    return typeof sample === 'string' ? null : (signal) => this.api.post('/permissions/condition/test', body, { signal });
  });
}
