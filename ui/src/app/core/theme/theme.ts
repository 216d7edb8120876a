import { Injectable, signal } from '@angular/core';

/** Light, dark, or what the system prefers. */
export type ThemeChoice = 'system' | 'light' | 'dark';

const key = 'nimbus.theme';

/** The colour theme of this browser. */
@Injectable({ providedIn: 'root' })
export class Theme {
  private readonly state = signal<ThemeChoice>(stored());

  readonly choice = this.state.asReadonly();

  constructor() {
    apply(this.state());
  }

  /** Uses a theme from now on and remembers it in this browser. */
  choose(choice: ThemeChoice): void {
    this.state.set(choice);
    localStorage.setItem(key, choice);
    apply(choice);
  }
}

function stored(): ThemeChoice {
  const value = localStorage.getItem(key);
  return value === 'light' || value === 'dark' ? value : 'system';
}

function apply(choice: ThemeChoice): void {
  const root = document.documentElement;
  if (choice === 'system') delete root.dataset['theme'];
  else root.dataset['theme'] = choice;
}
