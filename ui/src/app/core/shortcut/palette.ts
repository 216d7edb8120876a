import { DialogRef } from '@angular/cdk/dialog';
import { ChangeDetectionStrategy, Component, computed, inject, linkedSignal, signal } from '@angular/core';

import { Icon } from '../icon/icon';
import { Command, Commands } from './commands';

/** Finds a page or an action by typing a part of its name. */
@Component({
  selector: 'nb-palette',
  imports: [Icon],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <div class="ask">
      <nb-icon name="search" />
      <input
        #text
        role="combobox"
        aria-expanded="true"
        aria-controls="nb-palette-list"
        aria-autocomplete="list"
        [attr.aria-activedescendant]="found().length ? 'nb-palette-' + at() : null"
        i18n-aria-label
        aria-label="Search pages and actions"
        i18n-placeholder
        placeholder="Where to, or what to do?"
        autocomplete="off"
        spellcheck="false"
        (input)="query.set(text.value)"
        (keydown)="key($event)"
      />
      <kbd>Esc</kbd>
    </div>
    <ul id="nb-palette-list" role="listbox" i18n-aria-label aria-label="Pages and actions">
      @for (command of found(); track command.id; let index = $index) {
        <li
          role="option"
          [id]="'nb-palette-' + index"
          [attr.aria-selected]="index === at()"
          (click)="choose(command)"
          (mousemove)="at.set(index)"
        >
          <nb-icon [name]="command.icon" />
          <span>{{ command.label }}</span>
          <small class="faint">{{ command.group }}</small>
        </li>
      }
    </ul>
    @if (found().length === 0) {
      <p class="soft none" role="status" i18n>Nothing is called that. Try a page name such as "audit".</p>
    }
  `,
  styles: `
    .ask {
      display: flex;
      align-items: center;
      gap: var(--s3);
      padding: var(--s3) var(--s4);
      border-bottom: 1px solid var(--line);
    }
    input {
      flex: 1;
      min-width: 0;
      border: 0;
      outline: 0;
      background: none;
      font-size: var(--text-l);
    }
    input::placeholder {
      color: var(--ink-faint);
    }
    ul {
      padding: var(--s2);
      max-height: min(24rem, 60dvh);
      overflow: auto;
    }
    ul:empty {
      display: none;
    }
    li {
      display: flex;
      align-items: center;
      gap: var(--s3);
      padding: var(--s2) var(--s3);
      border-radius: var(--radius-s);
      cursor: pointer;
    }
    li[aria-selected='true'] {
      background: var(--accent-wash);
    }
    small {
      margin-left: auto;
      font-size: var(--text-s);
    }
    li[aria-selected='true'] small {
      color: var(--ink-soft);
    }
    .none {
      padding: var(--s4);
    }
  `,
})
export class Palette {
  private readonly ref = inject<DialogRef<Command>>(DialogRef);
  private readonly commands = inject(Commands);

  protected readonly query = signal('');
  protected readonly found = computed(() => search(this.commands.all(), this.query()));
  protected readonly at = linkedSignal({ source: this.found, computation: () => 0 });

  protected key(event: KeyboardEvent): void {
    const count = this.found().length;
    const chosen = this.found()[this.at()];
    if (event.key === 'Enter' && chosen) this.choose(chosen);
    else if (event.key === 'ArrowDown' && count) this.at.set((this.at() + 1) % count);
    else if (event.key === 'ArrowUp' && count) this.at.set((this.at() + count - 1) % count);
    else return;
    event.preventDefault();
    document.getElementById(`nb-palette-${this.at()}`)?.scrollIntoView({ block: 'nearest' });
  }

  protected choose(command: Command): void {
    this.ref.close(command);
  }
}

/** Commands whose name or group holds every word, those that begin with the first word ahead. */
export function search(commands: readonly Command[], query: string): readonly Command[] {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  const first = words[0];
  if (!first) return commands;
  const leads = (command: Command) => Number(command.label.toLowerCase().startsWith(first));
  return commands
    .filter((command) => {
      const text = `${command.label} ${command.group}`.toLowerCase();
      return words.every((word) => text.includes(word));
    })
    .sort((a, b) => leads(b) - leads(a));
}
