import { Injectable, signal } from '@angular/core';

/** The present moment as a signal that moves every ten seconds, for relative times. */
@Injectable({ providedIn: 'root' })
export class Clock {
  private readonly moment = signal(Date.now());

  /** Milliseconds since 1970, at most ten seconds old. */
  readonly now = this.moment.asReadonly();

  constructor() {
    setInterval(() => this.moment.set(Date.now()), 10_000);
  }
}
