import { DestroyRef, Injectable, inject, signal } from '@angular/core';
import type { Socket } from 'socket.io-client';

/** What the server tells: one envelope for every type. */
export interface LiveEvent<T = unknown> {
  type: LiveType;
  id: string;
  tenant_id: string;
  data: T;
}

/** The types of events the server sends. */
export type LiveType =
  | 'stack.updated'
  | 'deployment.updated'
  | 'deployment.event'
  | 'task.updated'
  | 'task.log'
  | 'inventory.updated'
  | 'connection.updated'
  | 'approval.requested'
  | 'breakglass.opened'
  | 'breakglass.ended'
  | 'session.ended'
  | 'audit.anomaly'
  | 'backup.updated';

/** Things whose details arrive only while they are watched. */
export type Watchable = 'deployment' | 'task' | 'stack';

/** The state of the one connection. */
export type LinkState = 'off' | 'connecting' | 'online' | 'lost';

type Listener = (event: LiveEvent) => void;

/** What a feed is asked for with, ended with and heard under; `kind` is how the server names it when it ends one. */
export interface FeedKind {
  event: string;
  end: string;
  heard: string;
  kind: string;
}

/** Whether a feed runs; if not, the server's reason. */
export type FeedState = { on: true } | { on: false; reason: string };

interface Feed extends FeedKind {
  data: unknown;
  listener: (sent: unknown) => void;
  told: (state: FeedState) => void;
}

interface Verdict {
  ok?: boolean;
  error?: string;
}

/** How long a connection that the server ended stays so, in milliseconds: twice as long each time, up to the most. */
const again = { first: 500, most: 30_000 };

/** The one Socket.IO connection of this browser tab; its client is loaded after sign-in. */
@Injectable({ providedIn: 'root' })
export class Realtime {
  private socket: Socket | null = null;
  private wanted = false;
  private readonly listeners = new Map<LiveType, Set<Listener>>();
  private readonly watched = new Map<string, number>();
  private readonly feeds = new Set<Feed>();
  private readonly link = signal<LinkState>('off');
  private readonly joins = signal(0);

  /** The connection's state, for the notice in the shell. */
  readonly state = this.link.asReadonly();
  /** Rises at every reconnect: read it in an effect to catch up on what was missed. */
  readonly reconnected = this.joins.asReadonly();

  /** Connects; a second call changes nothing. Reconnects by itself until stop. */
  async start(): Promise<void> {
    if (this.wanted) return;
    this.wanted = true;
    this.link.set('connecting');
    const { io } = await import('socket.io-client');
    if (!this.wanted) return;
    this.socket = this.open(io('/', { path: '/socket.io/', reconnectionDelayMax: 10_000 }));
  }

  /** Disconnects and forgets what was watched. */
  stop(): void {
    this.wanted = false;
    this.socket?.disconnect();
    this.socket = null;
    this.watched.clear();
    this.link.set('off');
  }

  /** Calls `listener` for every event of the type until `owner` is destroyed. */
  on<T>(type: LiveType, listener: (event: LiveEvent<T>) => void, owner?: DestroyRef): void {
    const set = this.listeners.get(type) ?? new Set<Listener>();
    this.listeners.set(type, set.add(listener as Listener));
    (owner ?? inject(DestroyRef)).onDestroy(() => set.delete(listener as Listener));
  }

  /** Asks for the details of one thing; the returned function ends that. Survives reconnects. */
  watch(kind: Watchable, id: string): () => void {
    const key = `${kind}/${id}`;
    const users = this.watched.get(key) ?? 0;
    this.watched.set(key, users + 1);
    if (users === 0) this.socket?.emit('watch', { kind, id });
    let open = true;
    return () => {
      if (open) this.unwatch(key);
      open = false;
    };
  }

  /**
   * Asks for a feed of its own with `event` and `data`, and calls `listener` for what is sent
   * under `heard`, and `told` with whether it runs: a server refuses what somebody may not
   * see, and ends a feed when that right is gone. The returned function ends it. Survives
   * reconnects; a feed asked for again replaces the one before.
   */
  feed<T>(ask: FeedKind, data: unknown, listener: (sent: T) => void, told: (state: FeedState) => void): () => void {
    const feed = { ...ask, data, listener: listener as (sent: unknown) => void, told };
    this.feeds.add(feed);
    if (this.socket) this.join(this.socket, feed);
    return () => {
      this.feeds.delete(feed);
      this.socket?.off(feed.heard, feed.listener);
      this.socket?.emit(feed.end);
    };
  }

  private join(socket: Socket, feed: Feed): void {
    socket.off(feed.heard, feed.listener);
    socket.on(feed.heard, feed.listener);
    if (!socket.connected) return;
    socket.emit(feed.event, feed.data, (verdict: Verdict | undefined) => {
      if (this.feeds.has(feed)) feed.told(verdict?.ok ? { on: true } : { on: false, reason: verdict?.error ?? '' });
    });
  }

  private unwatch(key: string): void {
    const users = (this.watched.get(key) ?? 1) - 1;
    if (users > 0) return void this.watched.set(key, users);
    this.watched.delete(key);
    this.socket?.emit('unwatch', watchArgs(key));
  }

  private open(socket: Socket): Socket {
    let before = false;
    let wait = again.first;
    // Its client comes back by itself only when the network failed, not when the server said no.
    const comeBack = () => {
      this.link.set(this.wanted ? 'lost' : 'off');
      if (socket.active || !this.wanted) return;
      setTimeout(() => {
        if (this.socket === socket) socket.connect();
      }, wait);
      wait = Math.min(wait * 2, again.most);
    };
    socket.on('connect', () => {
      for (const key of this.watched.keys()) socket.emit('watch', watchArgs(key));
      for (const feed of this.feeds) this.join(socket, feed);
      this.link.set('online');
      if (before) this.joins.update((count) => count + 1);
      before = true;
      wait = again.first;
    });
    socket.on('disconnect', comeBack);
    socket.on('connect_error', comeBack);
    socket.on('watch.ended', (end: { kind?: string }) => this.ended(end.kind ?? ''));
    socket.on('event', (event: LiveEvent) => this.deliver(event));
    return socket;
  }

  private ended(kind: string): void {
    for (const feed of this.feeds) {
      if (feed.kind === kind) feed.told({ on: false, reason: $localize`You may not read this any more.` });
    }
  }

  private deliver(event: LiveEvent): void {
    for (const listener of this.listeners.get(event.type) ?? []) listener(event);
  }
}

function watchArgs(key: string): { kind: string; id: string } {
  const slash = key.indexOf('/');
  return { kind: key.slice(0, slash), id: key.slice(slash + 1) };
}
