import { Injectable, computed, inject } from '@angular/core';

import { Page } from '@core/api/api';
import { remote } from '@core/api/remote';
import { Session } from '@core/session/session';
import { wholeList } from '@core/list/whole-list';

import { Known } from './matrix/matrix';
import { Role } from './role';

/** What the pages about permissions read again and again: the catalogue, the roles, the compartments. */
@Injectable()
export class Vocabulary {
  private readonly session = inject(Session);
  readonly catalogue = remote<Page<Known>>(() => '/permissions/catalogue');
  readonly known = computed(() => this.catalogue.value()?.items ?? []);
  readonly roles = wholeList<Role>(() => '/roles');
  private readonly compartments = remote<Page<{ id: string; name: string; path?: string }>>(() =>
    this.session.can('tenancy:compartment:read') ? '/compartments' : null,
  );
  readonly places = computed(() =>
    [...(this.compartments.value()?.items ?? [])]
      .map(({ id, name, path }) => ({ id, name: path ?? name }))
      .sort((a, b) => a.name.localeCompare(b.name)),
  );
  /** Names of compartments, by id. */
  readonly placeNames = computed(() => new Map(this.places().map((place) => [place.id, place.name])));
}
