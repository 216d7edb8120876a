import { ChangeDetectionStrategy, Component, computed, inject, input } from '@angular/core';
import { RouterLink } from '@angular/router';

import { remote } from '@core/api/remote';
import { Retention, anythingEnds, dueTooEarly, keptFor } from '@core/audit/retention';
import { Icon } from '@core/icon/icon';
import { Session } from '@core/session/session';

import type { ArchiveTarget } from './archive';

/** What the settings mean, as the life of one record. */
@Component({
  selector: 'nb-retention-story',
  imports: [Icon, RouterLink],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <section class="card" aria-labelledby="story">
      <header><h2 id="story" i18n>The life of a record</h2></header>
      <div class="body stack">
        <ol>
          <li>
            <strong i18n>At once</strong>
            <p i18n>It is stored, chained within a second, and soon covered by a signed checkpoint.</p>
          </li>
          <li [class.not]="!archive()">
            <strong i18n>After {{ after() }}</strong>
            @if (archive()) {
              <p i18n>A signed copy goes into the archive, is read back from there and compared.</p>
            } @else {
              <p i18n>Nothing: there is no archive. <a routerLink="/audit-settings/archive">Choose one</a>.</p>
            }
          </li>
          <li [class.not]="!prunes()">
            @if (it().default_days === null) {
              <strong i18n>Never, unless a rule says otherwise</strong>
            } @else {
              <strong i18n>After {{ kept() }}, unless a rule says otherwise</strong>
            }
            @if (prunes()) {
              <p i18n>
                Its text is deleted here; the copy in the archive stays. Its hash stays too, so chain, checkpoints and every
                proof can still be computed. The deletion is itself a record of the chain.
              </p>
            } @else if (!it().prune_enabled) {
              <p i18n>Nothing: deleting is switched off, so records stay in the database as long as there is room.</p>
            } @else if (!ends()) {
              <p i18n>Nothing: everything is kept for ever.</p>
            } @else {
              <p i18n>Nothing: only what is in an archive is deleted, and there is none.</p>
            }
          </li>
        </ol>
        @if (it().prune_enabled && !archive()) {
          <div class="notice tone-warn">
            <nb-icon name="warning" />
            <p i18n>Nothing will be deleted while there is no archive. <a routerLink="/audit-settings/archive">Choose where copies go</a>.</p>
          </div>
        }
        @if (prunes() && early().length) {
          <div class="notice">
            <nb-icon name="info" />
            <p i18n>
              Some records ({{ early().join(', ') }}) would end before they are copied. They go after {{ after() }}, when the copy is there.
            </p>
          </div>
        }
      </div>
    </section>
  `,
  styles: `
    ol {
      display: grid;
    }
    li {
      position: relative;
      padding: 0 0 var(--s4) var(--s5);
    }
    li:last-child {
      padding-bottom: 0;
    }
    li::before {
      content: '';
      position: absolute;
      left: 0.2rem;
      top: 0.35rem;
      width: 0.6rem;
      height: 0.6rem;
      border: 2px solid var(--accent);
      border-radius: 50%;
      background: var(--accent);
    }
    li.not::before {
      border-color: var(--line-strong);
      background: var(--surface);
    }
    li:not(:last-child)::after {
      content: '';
      position: absolute;
      left: 0.45rem;
      top: 1.05rem;
      bottom: -0.35rem;
      width: 2px;
      background: var(--line-strong);
    }
    p {
      color: var(--ink-soft);
    }
  `,
})
export class RetentionStory {
  private readonly session = inject(Session);
  readonly retention = input.required<Retention>();
  private readonly target = remote<ArchiveTarget>(() =>
    this.session.can('audit:archive:update') || this.session.can('audit:archive:read') ? '/audit/archive/target' : null,
  );
  protected readonly it = this.retention;
  // Who may not see the target is told nothing about it.
  protected readonly archive = computed(() => this.target.value()?.kind !== 'none');
  protected readonly ends = computed(() => anythingEnds(this.it()));
  protected readonly prunes = computed(() => this.it().prune_enabled && this.archive() && this.ends());
  protected readonly after = computed(() => keptFor(this.it().archive_after_days || 1));
  protected readonly kept = computed(() => keptFor(this.it().default_days));
  protected readonly early = computed(() => dueTooEarly(this.it()).map((event) => event || $localize`all others`));
}
