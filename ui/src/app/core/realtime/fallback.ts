import { effect, inject, untracked } from '@angular/core';

import { Realtime } from './realtime';

/**
 * Keeps something current: calls `read` at each reconnect of the live
 * connection, and every `milliseconds` while there is none and `wanted()`.
 * Call it in an injection context.
 */
export function rereadWithoutLive(
  read: () => unknown,
  milliseconds: number,
  wanted: () => boolean = () => true,
): void {
  const realtime = inject(Realtime);
  effect(() => {
    if (realtime.reconnected() > 0) untracked(() => void read());
  });
  effect((onCleanup) => {
    if (realtime.state() === 'online' || !wanted()) return;
    const timer = setInterval(() => void read(), milliseconds);
    onCleanup(() => clearInterval(timer));
  });
}
