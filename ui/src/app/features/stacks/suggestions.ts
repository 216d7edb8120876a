import { Injectable, computed, signal } from '@angular/core';

import { Page } from '@core/api/api';
import { remote } from '@core/api/remote';

import { Parameter } from './stack';

interface Found {
  name: string;
  properties: { vmid?: number; template?: boolean; content?: string[] };
}

/** One value to choose, and what it means. */
export interface Suggestion {
  value: string;
  label: string;
}

/** Offers what is really on the chosen cluster: nodes, storages, bridges and templates. */
@Injectable()
export class Suggestions {
  /** The connection whose inventory is offered; empty for none. */
  readonly connection = signal('');
  private readonly nodes = this.kind('node');
  private readonly storages = this.kind('storage');
  private readonly networks = this.kind('network');
  private readonly vms = this.kind('vm');

  private readonly templates = computed(() =>
    (this.vms.value()?.items ?? [])
      .filter((vm) => vm.properties.template)
      .map((vm) => ({ value: String(vm.properties.vmid ?? ''), label: vm.name })),
  );

  /** What fits a parameter, by its name; empty where nothing is known. */
  of({ name, secret }: Parameter): Suggestion[] {
    if (secret) return [];
    if (/(^|_)node$/.test(name)) return names(this.nodes.value());
    if (/(storage|datastore)/.test(name)) return names(this.storages.value());
    if (/(bridge|network)/.test(name)) return names(this.networks.value());
    return /^template_?id$/.test(name) ? this.templates() : [];
  }

  private kind(kind: string) {
    return remote<Page<Found>>(() => {
      const connection_id = this.connection();
      return connection_id ? { path: '/inventory', query: { kind, connection_id, limit: 200 } } : null;
    });
  }
}

function names(page: Page<Found> | null): Suggestion[] {
  const all = new Set((page?.items ?? []).map((item) => item.name));
  return [...all].sort().map((value) => ({ value, label: '' }));
}
