import { inject } from '@angular/core';

import { Page } from '@core/api/api';
import { Remote, remote } from '@core/api/remote';
import { Session } from '@core/session/session';

/** A compartment that a stack can lie in. */
export interface Place {
  id: string;
  /** Its name with those of the compartments around it. */
  path: string;
}

/** The tenant's compartments; none for people who may not see them. */
export function places(): Remote<Page<Place>> {
  const session = inject(Session);
  return remote(() => (session.can('tenancy:compartment:read') ? '/compartments' : null));
}
