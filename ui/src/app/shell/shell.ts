import { CdkTrapFocus } from '@angular/cdk/a11y';
import { ChangeDetectionStrategy, Component, DestroyRef, effect, inject, signal } from '@angular/core';
import { NavigationEnd, Router, RouterOutlet } from '@angular/router';

import { Api } from '@core/api/api';
import { Dialogs } from '@core/dialog/dialogs';
import { Icon } from '@core/icon/icon';
import { Realtime } from '@core/realtime/realtime';
import { Session } from '@core/session/session';
import { Command, Commands } from '@core/shortcut/commands';

import { AccountMenu } from './account-menu';
import { Banners } from './banners';
import { Brand } from './brand';
import { isShown, navigation } from './navigation';
import { SideNavigation } from './side-navigation';
import { TenantMenu } from './tenant-menu';

/** The frame around every page of a signed-in person. */
@Component({
  selector: 'nb-shell',
  imports: [AccountMenu, Banners, Brand, CdkTrapFocus, Icon, RouterOutlet, SideNavigation, TenantMenu],
  changeDetection: ChangeDetectionStrategy.OnPush,
  host: {
    '(document:keydown)': 'key($event)',
    '[class.open]': 'drawer()',
  },
  templateUrl: './shell.html',
  styleUrl: './shell.scss',
})
export class Shell {
  private readonly router = inject(Router);
  private readonly dialogs = inject(Dialogs);
  private readonly commands = inject(Commands);
  private readonly realtime = inject(Realtime);
  protected readonly session = inject(Session);
  protected readonly drawer = signal(false);

  constructor() {
    inject(Api).stepUp = () => this.dialogs.stepUp();
    this.commands.offer(...this.everywhere());
    this.followNavigation();
    this.followSession();
  }

  protected openDrawer(): void {
    this.drawer.set(true);
  }

  protected closeDrawer(): void {
    this.drawer.set(false);
  }

  protected toContent(main: HTMLElement, event: Event): void {
    event.preventDefault();
    main.focus();
  }

  protected key(event: KeyboardEvent): void {
    if (event.key === 'Escape') this.closeDrawer();
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 'k') {
      event.preventDefault();
      void this.palette();
      return;
    }
    this.commands.press(event);
  }

  protected async palette(): Promise<void> {
    if (document.querySelector('nb-palette')) return;
    const { Palette } = await import('@core/shortcut/palette');
    const chosen = await this.dialogs.open<Command>(Palette, undefined, {
      ariaLabel: $localize`Search pages and actions`,
    });
    chosen?.run();
  }

  private async help(): Promise<void> {
    const { ShortcutHelp } = await import('@core/shortcut/help');
    await this.dialogs.open(ShortcutHelp);
  }

  private everywhere(): Command[] {
    const pages = navigation.flatMap((group) => group.entries).map(
      (entry): Command => ({
        id: `go${entry.path}`,
        label: entry.label,
        group: $localize`Go to`,
        icon: entry.icon,
        keys: entry.keys,
        available: () => isShown(entry, (permission) => this.session.can(permission), this.session.tenant()?.is_root ?? false),
        run: () => this.router.navigateByUrl(entry.path),
      }),
    );
    const go = (path: string) => () => this.router.navigateByUrl(path);
    return [
      ...pages,
      { id: 'go/profile', label: $localize`Your profile`, group: $localize`Go to`, icon: 'user', keys: 'g p', run: go('/profile') },
      { id: 'help', label: $localize`Keyboard shortcuts`, group: $localize`Help`, icon: 'keyboard', keys: '?', run: () => this.help() },
    ];
  }

  private followNavigation(): void {
    const steps = this.router.events.subscribe((event) => {
      if (event instanceof NavigationEnd) this.closeDrawer();
    });
    inject(DestroyRef).onDestroy(() => steps.unsubscribe());
  }

  private followSession(): void {
    void this.realtime.start();
    inject(DestroyRef).onDestroy(() => this.realtime.stop());
    const refresh = () => void this.session.refresh().catch(() => undefined);
    this.realtime.on('breakglass.opened', refresh);
    this.realtime.on('breakglass.ended', refresh);
    this.realtime.on('session.ended', (event) => {
      if (event.id === this.session.current()?.id) this.session.end();
    });
    effect(() => {
      if (this.session.limited()) void this.router.navigateByUrl('/second-factor');
      if (this.session.signedIn()) return;
      const queryParams = this.session.ended() ? { return: this.router.url } : {};
      void this.router.navigate(['/sign-in'], { queryParams });
    });
  }
}
