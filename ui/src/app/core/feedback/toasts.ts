import { Injectable, signal } from '@angular/core';

import { isAbort } from '../api/api';
import { asProblem } from '../api/problem';

/** A short message in the corner. */
export interface Toast {
  id: number;
  tone: 'good' | 'bad';
  text: string;
  /** The permission that was missing; the message then offers an explanation. */
  refused: string | null;
}

/** Short messages about what was done. Failures stay until they are closed. */
@Injectable({ providedIn: 'root' })
export class Toasts {
  private readonly list = signal<readonly Toast[]>([]);
  private last = 0;

  readonly shown = this.list.asReadonly();

  /** Says that something worked; goes away by itself. */
  done(text: string): void {
    const id = this.add('good', text);
    setTimeout(() => this.close(id), 6000);
  }

  /** Says what failed and stays. An aborted request says nothing. */
  failed(cause: unknown): void {
    if (isAbort(cause)) return;
    const problem = asProblem(cause);
    this.add('bad', problem.message, problem.permission);
  }

  /** Takes a message away. */
  close(id: number): void {
    this.list.update((old) => old.filter((toast) => toast.id !== id));
  }

  private add(tone: Toast['tone'], text: string, refused: string | null = null): number {
    const id = ++this.last;
    this.list.update((old) => [...old.slice(-3), { id, tone, text, refused }]);
    return id;
  }
}
