import { DIALOG_DATA, DialogRef } from '@angular/cdk/dialog';
import { ChangeDetectionStrategy, Component, computed, effect, inject, signal, untracked } from '@angular/core';
import { FormControl, FormGroup, ReactiveFormsModule, Validators } from '@angular/forms';

import { DialogFrame } from '@core/dialog/dialog-frame';
import { Field, FieldInput } from '@core/form/field';
import { submit } from '@core/form/submit';
import { Session } from '@core/session/session';

import { Place, PlaceForm, PlaceKind, formOf, goesElsewhere, kindWord, placeOf, uses } from './place';

const kinds: readonly PlaceKind[] = ['file', 'email', 'webhook', 'syslog', 'object'];

/** Describes a place for checkpoints; closes with it. Whoever opened it saves. */
@Component({
  selector: 'nb-place-dialog',
  imports: [DialogFrame, Field, FieldInput, ReactiveFormsModule],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './place-dialog.html',
  styleUrl: './dialog.scss',
})
export class PlaceDialog {
  protected readonly ref = inject<DialogRef<Place>>(DialogRef);
  protected readonly before = inject<Place | null>(DIALOG_DATA);
  protected readonly kind = signal<PlaceKind>(this.before?.kind ?? 'file');
  protected readonly kinds = kinds;
  protected readonly kindWord = kindWord;
  protected readonly form = controls(formOf(this.before ?? {}));
  protected readonly checking = submit(this.form);
  protected readonly root = inject(Session).tenant()?.is_root ?? false;
  protected readonly elsewhere = computed(() => {
    this.checking.touched();
    return goesElsewhere(this.before, this.form.getRawValue()) && this.form.controls.secret.value === '';
  });
  protected readonly keeps = $localize`Left empty, the stored one stays.`;
  protected readonly signs = $localize`Each request is signed with it, so that the receiver can tell ours from others.`;
  protected readonly words = { change: $localize`Change`, add: $localize`Add` };
  protected readonly heading = this.before ? $localize`Change the place` : $localize`Publish checkpoints somewhere else too`;

  constructor() {
    effect(() => {
      const kind = this.kind();
      untracked(() => this.choose(kind));
    });
  }

  protected setKind(kind: string): void {
    this.kind.set(kinds.find((one) => one === kind) ?? 'file');
  }

  protected take(): void {
    if (!this.checking.ready() || this.elsewhere()) return;
    const place = placeOf(this.kind(), this.before?.enabled ?? true, this.form.getRawValue(), this.before?.id);
    this.ref.close(place);
  }

  // Only the settings of the chosen kind are asked for and checked.
  private choose(kind: PlaceKind): void {
    for (const [name, control] of Object.entries(this.form.controls)) {
      const use = uses(kind, name);
      control.setValidators(use === 'must' ? Validators.required : null);
      if (use === 'no') control.disable({ emitEvent: false });
      else control.enable({ emitEvent: false });
      control.updateValueAndValidity({ emitEvent: false });
    }
  }
}

function controls(values: PlaceForm): FormGroup<{ [K in keyof PlaceForm]: FormControl<string> }> {
  const control = (name: keyof PlaceForm) => new FormControl(values[name], { nonNullable: true });
  return new FormGroup({
    path: control('path'), to: control('to'), url: control('url'), address: control('address'), transport: control('transport'),
    format: control('format'), ca_pem: control('ca_pem'), endpoint: control('endpoint'), bucket: control('bucket'),
    region: control('region'), prefix: control('prefix'), access_key: control('access_key'), secret: control('secret'),
  });
}
