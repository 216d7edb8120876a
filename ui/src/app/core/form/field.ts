import {
  ChangeDetectionStrategy,
  Component,
  Directive,
  ElementRef,
  computed,
  contentChild,
  effect,
  inject,
  input,
} from '@angular/core';

let created = 0;

/** Marks the control inside an nb-field; the field gives it its id, look and description. */
@Directive({ selector: '[nbInput]', host: { class: 'input' } })
export class FieldInput {
  readonly element = inject<ElementRef<HTMLInputElement>>(ElementRef).nativeElement;
}

/**
 * Label, control, hint and error as one. The control is projected and carries
 * `nbInput`; a non-empty `error` marks it invalid and is announced.
 */
@Component({
  selector: 'nb-field',
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <label [for]="id">
      {{ label() }}
      @if (optional()) {
        <span class="faint" i18n>(optional)</span>
      }
    </label>
    <ng-content />
    @if (hint()) {
      <p class="hint" [id]="id + '-hint'">{{ hint() }}</p>
    }
    <p class="error" [id]="id + '-error'" aria-live="polite">{{ error() }}</p>
  `,
  styles: `
    :host {
      display: grid;
      grid-template-columns: minmax(0, 1fr);
      gap: 0.3rem;
      align-content: start;
      min-width: 0;
    }
    label {
      font-size: var(--text-s);
      font-weight: 550;
    }
    label span {
      font-weight: 400;
    }
    .hint {
      color: var(--ink-soft);
      font-size: var(--text-s);
    }
    .error {
      color: var(--bad);
      font-size: var(--text-s);
    }
    .error:empty {
      display: none;
    }
  `,
})
export class Field {
  readonly label = input.required<string>();
  readonly hint = input('');
  readonly error = input<string | null | undefined>('');
  readonly optional = input(false);

  protected readonly id = `nb-field-${++created}`;
  private readonly control = contentChild.required(FieldInput);
  private readonly describedBy = computed(() =>
    [this.hint() && `${this.id}-hint`, this.error() && `${this.id}-error`].filter(Boolean).join(' '),
  );

  constructor() {
    effect(() => {
      const element = this.control().element;
      element.id = this.id;
      element.setAttribute('aria-invalid', String(Boolean(this.error())));
      if (this.describedBy()) element.setAttribute('aria-describedby', this.describedBy());
      else element.removeAttribute('aria-describedby');
    });
  }
}
