import { Directive, ElementRef, afterNextRender, inject } from '@angular/core';

/** Moves the focus to the first field of a step that appears, or to its main button. */
@Directive({ selector: '[nbFocusFirst]' })
export class FocusFirst {
  constructor() {
    const host = inject<ElementRef<HTMLElement>>(ElementRef).nativeElement;
    afterNextRender(() => {
      const field = host.querySelector<HTMLElement>('[nbInput]') ?? host.querySelector<HTMLElement>('button.primary');
      field?.focus();
    });
  }
}
