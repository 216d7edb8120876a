import { ChangeDetectionStrategy, Component, computed, inject, input } from '@angular/core';
import { Router } from '@angular/router';

import { remote } from '@core/api/remote';
import { action } from '@core/feedback/action';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Icon } from '@core/icon/icon';
import { Session } from '@core/session/session';

import { ChecklistItem, checklistPlace, checklistTitle } from './checklist-item';

/** What a complete tenant has, what this one has of it, and where the rest is done. */
@Component({
  selector: 'nb-tenant-checklist',
  imports: [Icon, ProblemNotice],
  changeDetection: ChangeDetectionStrategy.OnPush,
  host: { class: 'card' },
  template: `
    <header>
      <h2 i18n>Completion</h2>
      @if (items().length > 0) {
        <span class="small-text soft" i18n>{{ done() }} of {{ items().length }} done</span>
      }
    </header>
    <nb-problem [problem]="list.problem()" [retryable]="true" (retry)="list.reload()" />
    @if (items().length > 0) {
      <div class="bar" aria-hidden="true"><i [style.width.%]="(100 * done()) / items().length"></i></div>
      <ul>
        @for (item of items(); track item.key) {
          <li [class.done]="item.done">
            <span class="disc">
              @if (item.done) {
                <nb-icon name="check" [size]="13" />
              }
            </span>
            <span class="title">
              {{ title(item) }}
              <span class="visually-hidden">
                @if (item.done) {
                  <ng-container i18n>(done)</ng-container>
                } @else {
                  <ng-container i18n>(open)</ng-container>
                }
              </span>
            </span>
            @if (!item.done && reachable(item)) {
              <button type="button" class="button small quiet" [disabled]="going.busy()" (click)="go(item)">
                <ng-container i18n>Do it</ng-container>
                <span class="visually-hidden">: {{ title(item) }}</span>
                <nb-icon name="arrow" [size]="14" />
              </button>
            }
          </li>
        }
      </ul>
    } @else if (list.loading()) {
      <p class="soft body" role="status" i18n>Loading …</p>
    }
  `,
  styles: `
    :host {
      display: block;
      overflow: hidden;
    }
    .bar {
      height: 3px;
      margin-top: -1px;
      background: var(--line);
    }
    .bar i {
      display: block;
      height: 100%;
      background: var(--accent);
    }
    ul {
      padding: var(--s2) var(--s4);
    }
    li {
      display: flex;
      align-items: center;
      gap: var(--s3);
      min-height: 2.25rem;
      padding-block: 2px;
    }
    .disc {
      display: grid;
      flex: none;
      place-items: center;
      width: 1.25rem;
      height: 1.25rem;
      border: 1.5px solid var(--line-strong);
      border-radius: 50%;
    }
    .done .disc {
      border-color: var(--good);
      background: var(--good-wash);
      color: var(--good);
    }
    .done .title {
      color: var(--ink-soft);
    }
    .title {
      flex: 1;
      min-width: 0;
    }
  `,
})
export class TenantChecklist {
  private readonly router = inject(Router);
  private readonly session = inject(Session);

  readonly tenant = input.required<string>();

  protected readonly list = remote<{ items: ChecklistItem[] }>(() => `/tenants/${this.tenant()}/checklist`);
  protected readonly items = computed(() => this.list.value()?.items ?? []);
  protected readonly done = computed(() => this.items().filter((item) => item.done).length);
  protected readonly going = action('toast');
  protected readonly title = checklistTitle;

  /** Pages of the active tenant can be opened only by those who may work in this one. */
  protected reachable(item: ChecklistItem): boolean {
    const place = checklistPlace(item, this.tenant());
    if (!place) return false;
    const mine = this.session.current()?.tenants.some((one) => one.id === this.tenant()) ?? false;
    return !place.ofActiveTenant || mine;
  }

  protected async go(item: ChecklistItem): Promise<void> {
    const place = checklistPlace(item, this.tenant());
    if (!place) return;
    const elsewhere = place.ofActiveTenant && this.session.tenant()?.id !== this.tenant();
    const ready = !elsewhere || (await this.going.run(() => this.session.switchTenant(this.tenant())));
    if (ready) await this.router.navigateByUrl(place.link);
  }
}
