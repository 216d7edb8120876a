import { effect } from '@angular/core';

/** Calls `read` every two seconds while `wanted()`. Call it in an injection context. */
export function rereadWhile(wanted: () => boolean, read: () => unknown): void {
  effect((onCleanup) => {
    if (!wanted()) return;
    const timer = setInterval(() => void read(), 2_000);
    onCleanup(() => clearInterval(timer));
  });
}
