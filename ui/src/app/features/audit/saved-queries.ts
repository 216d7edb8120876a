import { ChangeDetectionStrategy, Component, computed, inject, input, output, signal } from '@angular/core';

import { Api, Page } from '@core/api/api';
import { remote } from '@core/api/remote';
import { Dialogs } from '@core/dialog/dialogs';
import { action } from '@core/feedback/action';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Field, FieldInput } from '@core/form/field';
import { Icon } from '@core/icon/icon';
import { Session } from '@core/session/session';

import { AuditFilter, countOf, filterFrom, paramsOf } from './filter';
import { SavedQuery } from './record';
import { RenameData, RenameQuery } from './rename-query';

/** Filters that were kept under a name: one's own, and those shared with the tenant. */
@Component({
  selector: 'nb-saved-queries',
  imports: [Field, FieldInput, Icon, ProblemNotice],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    @if (saved().length) {
      <ul class="row" i18n-aria-label aria-label="Saved queries">
        @for (query of saved(); track query.id) {
          <li>
            <button type="button" class="button small" [title]="hint(query)" (click)="chosen.emit(read(query.filter))">
              <nb-icon [name]="query.shared ? 'group' : 'search'" [size]="14" />{{ query.name }}
            </button>
            @if (mayChange(query)) {
              <button type="button" class="button small quiet icon-only" [attr.aria-label]="changes(query)" (click)="change(query)">
                <nb-icon name="edit" [size]="13" />
              </button>
              <button type="button" class="button small quiet icon-only" [attr.aria-label]="removes(query)" [disabled]="removing.busy()" (click)="remove(query)">
                <nb-icon name="close" [size]="13" />
              </button>
            }
          </li>
        }
      </ul>
    }
    @if (naming()) {
      <form (submit)="save($event, name.value, shared.checked)">
        <nb-field i18n-label label="Name of the query"><input nbInput #name required maxlength="100" /></nb-field>
        <label class="check"><input type="checkbox" #shared [disabled]="!mayShare()" /><span i18n>Everybody who may read the audit trail sees it</span></label>
        <div class="row">
          <button class="button small primary" [disabled]="saving.busy()" i18n>Save</button>
          <button type="button" class="button small quiet" (click)="naming.set(false)" i18n>Cancel</button>
        </div>
        <nb-problem [problem]="saving.problem()" />
      </form>
    } @else if (count()) {
      <button type="button" class="button small quiet" (click)="naming.set(true)"><nb-icon name="plus" [size]="14" /><ng-container i18n>Save this query</ng-container></button>
    }
  `,
  styles: `
    :host {
      display: flex;
      flex-wrap: wrap;
      align-items: center;
      gap: var(--s2);
    }
    :host(:empty) {
      display: none;
    }
    li {
      display: inline-flex;
    }
    form {
      display: flex;
      flex-wrap: wrap;
      align-items: end;
      gap: var(--s2) var(--s4);
    }
    .check {
      padding-bottom: var(--s2);
    }
  `,
})
export class SavedQueries {
  private readonly api = inject(Api);
  private readonly session = inject(Session);
  private readonly dialogs = inject(Dialogs);

  readonly filter = input.required<AuditFilter>();
  readonly chosen = output<AuditFilter>();

  private readonly list = remote<Page<SavedQuery>>(() => '/audit/queries');
  protected readonly removing = action('toast');
  protected readonly saved = computed(() => this.list.value()?.items ?? []);
  protected readonly count = computed(() => countOf(this.filter()));
  protected readonly mayShare = computed(() => this.session.can('audit:query:share'));
  protected readonly naming = signal(false);
  protected readonly saving = action();
  protected readonly read = filterFrom;

  /** One's own, and shared ones for whoever looks after those. */
  protected mayChange(query: SavedQuery): boolean {
    return query.owner.id === this.session.current()?.user.id || (query.shared && this.mayShare());
  }

  protected hint(query: SavedQuery): string {
    return query.shared ? $localize`Shared by ${query.owner.name}` : $localize`Only you see it`;
  }

  protected changes(query: SavedQuery): string {
    return $localize`Rename the query ${query.name}`;
  }

  protected removes(query: SavedQuery): string {
    return $localize`Delete the query ${query.name}`;
  }

  protected async save(event: Event, name: string, shared: boolean): Promise<void> {
    event.preventDefault();
    const body = { name: name.trim(), filter: paramsOf(this.filter()), shared };
    const saved = await this.saving.run(() => this.api.post('/audit/queries', body));
    if (!saved) return;
    this.naming.set(false);
    await this.list.reload();
  }

  protected async change(query: SavedQuery): Promise<void> {
    const data: RenameData = { query, filter: this.count() ? paramsOf(this.filter()) : null, mayShare: this.mayShare() };
    if (await this.dialogs.open<boolean, RenameData>(RenameQuery, data)) await this.list.reload();
  }

  protected async remove(query: SavedQuery): Promise<void> {
    const sure = await this.dialogs.confirm({
      heading: $localize`Delete the query ${query.name}?`,
      text: query.shared
        ? $localize`It is gone for everybody it is shared with. No record is touched.`
        : $localize`No record is touched.`,
      verb: $localize`Delete`,
      danger: true,
    });
    if (!sure) return;
    await this.removing.run(() => this.api.delete(`/audit/queries/${query.id}`));
    await this.list.reload();
  }
}
