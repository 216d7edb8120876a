import { ChangeDetectionStrategy, Component, input, model } from '@angular/core';

/** One of a few ways, each with a line that says what it means. */
export interface Option<T extends string> {
  value: T;
  label: string;
  text: string;
}

let created = 0;

/** Chooses one of a few ways, as large radio buttons. */
@Component({
  selector: 'nb-choice',
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <fieldset>
      <legend class="visually-hidden">{{ legend() }}</legend>
      @for (option of options(); track option.value) {
        <label [class.chosen]="value() === option.value">
          <input
            type="radio"
            [name]="name"
            [value]="option.value"
            [checked]="value() === option.value"
            (change)="value.set(option.value)"
          />
          <span><strong>{{ option.label }}</strong><span class="soft">{{ option.text }}</span></span>
        </label>
      }
    </fieldset>
  `,
  styles: `
    fieldset {
      display: grid;
      gap: var(--s2);
      min-width: 0;
      margin: 0;
      padding: 0;
      border: 0;
    }
    label {
      display: flex;
      gap: var(--s3);
      padding: var(--s3) var(--s4);
      border: 1px solid var(--line-strong);
      border-radius: var(--radius);
      background: var(--surface);
      cursor: pointer;
    }
    label:hover {
      background: var(--surface-hover);
    }
    label.chosen {
      border-color: var(--accent);
      background: var(--accent-wash);
      box-shadow: inset 0 0 0 1px var(--accent);
    }
    label > span {
      display: grid;
    }
    strong {
      font-weight: 550;
    }
    input {
      flex: none;
      width: 1rem;
      height: 1rem;
      margin: 0.15rem 0 0;
      accent-color: var(--accent);
    }
  `,
})
export class Choice<T extends string> {
  readonly legend = input.required<string>();
  readonly options = input.required<readonly Option<T>[]>();
  readonly value = model.required<T>();
  protected readonly name = `nb-choice-${++created}`;
}
