import { ChangeDetectionStrategy, Component, inject, linkedSignal, output } from '@angular/core';

import { Api } from '@core/api/api';
import { remote } from '@core/api/remote';
import { Dialogs } from '@core/dialog/dialogs';
import { action } from '@core/feedback/action';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Toasts } from '@core/feedback/toasts';
import { Field, FieldInput } from '@core/form/field';
import { Icon } from '@core/icon/icon';
import { Badge } from '@core/page/badge';

import { Place, PublicationSettings, kindWord, whereOf, written } from './place';
import { PlaceDialog } from './place-dialog';

/** Where checkpoints go, so that nobody can rewrite the chain unseen; each change is saved at once. */
@Component({
  selector: 'nb-publication-card',
  imports: [Badge, Field, FieldInput, Icon, ProblemNotice],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './publication-card.html',
  styleUrl: './publication-card.scss',
})
export class PublicationCard {
  private readonly api = inject(Api);
  private readonly dialogs = inject(Dialogs);
  private readonly toasts = inject(Toasts);
  /** A checkpoint was published for a test. */
  readonly tested = output();

  protected readonly told = remote<PublicationSettings>(() => '/audit/publication');
  protected readonly interval = linkedSignal(() => this.told.value()?.interval_minutes ?? 10);
  protected readonly saving = action();
  protected readonly testing = action();
  protected readonly kindWord = kindWord;
  protected readonly whereOf = whereOf;

  protected setInterval(text: string): void {
    const minutes = Math.trunc(Number(text));
    if (minutes >= 10 && minutes <= 10_080) this.interval.set(minutes);
  }

  protected async saveInterval(): Promise<void> {
    await this.save(this.places(), $localize`Saved. A checkpoint is made every ${this.interval()} minutes when there is something new.`);
  }

  protected async add(): Promise<void> {
    const place = await this.dialogs.open<Place, Place | null>(PlaceDialog, null);
    if (place) await this.save([...this.places(), place], $localize`Added. Test it to see that checkpoints arrive.`);
  }

  protected async change(before: Place): Promise<void> {
    const place = await this.dialogs.open<Place, Place | null>(PlaceDialog, before);
    if (place) await this.replace(before, place, $localize`Changed. Test it to see that checkpoints arrive.`);
  }

  protected async enable(place: Place, enabled: boolean): Promise<void> {
    const text = enabled ? $localize`Checkpoints are published there again.` : $localize`Checkpoints are not published there any more.`;
    await this.replace(place, { ...place, enabled }, text);
  }

  protected async remove(place: Place): Promise<void> {
    const where = whereOf(place);
    const sure = await this.dialogs.confirm({
      heading: $localize`Remove this place?`,
      text: $localize`No further checkpoint goes to ${where}. What was published there stays, and stays useful.`,
      verb: $localize`Remove place`,
      danger: true,
    });
    if (!sure) return;
    await this.save(this.places().filter((one) => one.id !== place.id), $localize`Removed.`);
  }

  protected async test(place: Place): Promise<void> {
    if (!(await this.testing.run(() => this.api.post(`/audit/publication/places/${place.id}/test`)))) return;
    this.toasts.done($localize`The newest checkpoint went to ${whereOf(place)}. Look whether it arrived.`);
    this.tested.emit();
  }

  private places(): Place[] {
    return this.told.value()?.places ?? [];
  }

  private replace(before: Place, place: Place, text: string): Promise<void> {
    return this.save(this.places().map((one) => (one.id === before.id ? place : one)), text);
  }

  private async save(places: Place[], text: string): Promise<void> {
    const body = { interval_minutes: this.interval(), places: written(places) };
    await this.saving.run(async () => {
      this.told.set(await this.api.put<PublicationSettings>('/audit/publication', body));
      this.toasts.done(text);
    });
  }
}
