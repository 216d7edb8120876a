import { DestroyRef, Injectable, computed, inject, signal } from '@angular/core';

import { IconName } from '../icon/icons';

/** Something a person can do by name or by keys. */
export interface Command {
  id: string;
  label: string;
  /** Where it belongs, shown beside the label: "Go to", "Deployments". */
  group: string;
  icon: IconName;
  /** Keys typed one after the other, such as `g d`; shown in the list of shortcuts. */
  keys?: string;
  /** Says whether it can run now; it always can when this is left out. Reads signals. */
  available?: () => boolean;
  run: () => unknown;
}

const switchKey = 'nimbus.shortcuts';

/** All commands of the pages that are open: what the palette and the shortcuts offer. */
@Injectable({ providedIn: 'root' })
export class Commands {
  private readonly registered = signal<readonly Command[]>([]);
  private typed = '';
  private typedAt = 0;

  /** Every command that can run now. */
  readonly all = computed(() => this.registered().filter((command) => command.available?.() ?? true));
  readonly withKeys = computed(() => this.all().filter((command) => command.keys));
  /** Whether keys without Ctrl act; people who dictate or tremble turn them off (WCAG 2.1.4). */
  readonly keysOn = signal(localStorage.getItem(switchKey) !== 'off');

  /** Offers commands until the owner is destroyed; call it in an injection context. */
  offer(...commands: Command[]): void {
    this.registered.update((old) => [...old, ...commands]);
    inject(DestroyRef).onDestroy(() =>
      this.registered.update((old) => old.filter((command) => !commands.includes(command))),
    );
  }

  /** Turns single keys on or off in this browser. */
  setKeys(on: boolean): void {
    this.keysOn.set(on);
    localStorage.setItem(switchKey, on ? 'on' : 'off');
  }

  /** Takes a key press; answers whether a command ran. */
  press(event: KeyboardEvent): boolean {
    if (!this.keysOn() || event.ctrlKey || event.metaKey || event.altKey || inText(event)) return false;
    const fresh = event.timeStamp - this.typedAt > 1200;
    this.typedAt = event.timeStamp;
    this.typed = fresh ? event.key : `${this.typed} ${event.key}`;
    const found =
      this.withKeys().find((command) => command.keys === this.typed) ??
      this.withKeys().find((command) => command.keys === event.key);
    if (!found) return false;
    this.typed = '';
    event.preventDefault();
    found.run();
    return true;
  }
}

function inText(event: KeyboardEvent): boolean {
  const target = event.target as HTMLElement | null;
  return Boolean(target?.closest('input, textarea, select, [contenteditable], [role=dialog], [role=alertdialog]'));
}
