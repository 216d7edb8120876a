import { ChangeDetectionStrategy, Component, computed, effect, inject, input, output } from '@angular/core';
import { toSignal } from '@angular/core/rxjs-interop';
import { FormControl, FormGroup, FormRecord, ReactiveFormsModule, ValidatorFn, Validators } from '@angular/forms';

import { Api } from '@core/api/api';
import { Connection } from '@core/connection/connection';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Field, FieldInput } from '@core/form/field';
import { submit } from '@core/form/submit';

import { typed } from './config-row';
import { placed } from './draft';
import { places } from './places';
import { ConfigValue, Parameter, Stack, Template } from './stack';
import { Suggestions } from './suggestions';

type Answer = string | boolean;

/** What a template asks for. Makes the stack and says what is wanted next. */
@Component({
  selector: 'nb-template-form',
  imports: [Field, FieldInput, ProblemNotice, ReactiveFormsModule],
  providers: [Suggestions],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './template-form.html',
  styleUrl: './template-form.scss',
})
export class TemplateForm {
  private readonly api = inject(Api);
  protected readonly suggestions = inject(Suggestions);
  readonly template = input.required<Template>();
  readonly connections = input.required<readonly Connection[]>();
  readonly made = output<{ stack: Stack; deploy: boolean }>();

  protected readonly parameters = new FormRecord<FormControl<Answer>>({});
  protected readonly form = new FormGroup({
    name: new FormControl('', { nonNullable: true, validators: [Validators.required, Validators.maxLength(100)] }),
    description: new FormControl('', { nonNullable: true }),
    connection_id: new FormControl('', { nonNullable: true, validators: Validators.required }),
    compartment_id: new FormControl('', { nonNullable: true }),
    parameters: this.parameters,
  });
  private readonly compartments = places();
  protected readonly places = computed(() => this.compartments.value()?.items ?? []);
  protected readonly sending = submit(this.form);
  private readonly connection = toSignal(this.form.controls.connection_id.valueChanges, { initialValue: '' });
  protected readonly plain = computed(() => this.template().parameters.filter((one) => one.type !== 'boolean'));
  protected readonly switches = computed(() => this.template().parameters.filter((one) => one.type === 'boolean'));

  constructor() {
    effect(() => this.build(this.template()));
    effect(() => {
      const [only] = this.connections();
      const chosen = this.form.controls.connection_id;
      if (only && !chosen.value) chosen.setValue(only.id);
    });
    effect(() => this.suggestions.connection.set(this.connection()));
  }

  protected error(parameter: Parameter): string {
    return this.sending.error(`parameters.${parameter.name}`) || (this.sending.problem()?.field(parameter.name) ?? '');
  }

  protected inputType({ secret, type }: Parameter): string {
    if (secret) return 'password';
    return type === 'string' ? 'text' : 'number';
  }

  protected async send(deploy: boolean): Promise<void> {
    if (!this.sending.ready()) return;
    const { name, description, connection_id, compartment_id } = this.form.getRawValue();
    const body = { name, description, connection_id, ...placed(compartment_id), program: this.template().program, config: this.config() };
    await this.sending.run(async () => {
      const stack = await this.api.post<Stack>('/stacks', body);
      this.made.emit({ stack, deploy });
    });
  }

  private build(template: Template): void {
    for (const name of Object.keys(this.parameters.controls)) this.parameters.removeControl(name);
    for (const parameter of template.parameters) this.parameters.addControl(parameter.name, controlOf(parameter));
  }

  private config(): Record<string, ConfigValue> {
    const answers = this.parameters.getRawValue();
    const filled = this.template().parameters.filter((one) => one.required || answers[one.name] !== '');
    return Object.fromEntries(filled.map((one) => [one.name, valueOf(one, answers[one.name] ?? '')]));
  }
}

function controlOf(parameter: Parameter): FormControl<Answer> {
  const validators: ValidatorFn[] = parameter.required && parameter.type !== 'boolean' ? [Validators.required] : [];
  if (parameter.type === 'integer') validators.push(wholeNumber);
  const start = parameter.type === 'boolean' ? parameter.default === true : String(parameter.default ?? '');
  return new FormControl<Answer>(start, { nonNullable: true, validators });
}

const wholeNumber: ValidatorFn = ({ value }) =>
  value === null || value === '' || Number.isInteger(Number(value)) ? null : { message: $localize`Enter a whole number.` };

function valueOf({ type, secret }: Parameter, answer: Answer): ConfigValue {
  return { value: typeof answer === 'boolean' ? answer : typed(String(answer), type), secret };
}
