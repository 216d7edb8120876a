import { inject } from '@angular/core';

import { Api } from '@core/api/api';
import { Dialogs } from '@core/dialog/dialogs';
import { Action, action } from '@core/feedback/action';
import { Toasts } from '@core/feedback/toasts';

import { Role } from './role';

/** Deletes roles after asking. Call it in an injection context. */
export function roleRemoval(): { changing: Action; remove: (role: Role) => Promise<boolean> } {
  const api = inject(Api);
  const dialogs = inject(Dialogs);
  const toasts = inject(Toasts);
  const changing = action('toast');
  const remove = async (role: Role): Promise<boolean> => {
    const sure = await dialogs.confirm({
      heading: $localize`Delete the role ${role.name}?`,
      text: $localize`Everybody who holds it loses what it allows at once, also in windows that are open.`,
      verb: $localize`Delete role`,
      danger: true,
    });
    if (!sure || !(await changing.run(() => api.delete(`/roles/${role.id}`)))) return false;
    toasts.done($localize`The role ${role.name} is deleted.`);
    return true;
  };
  return { changing, remove };
}
