// What the connections of one HTTP/1.1 listener share, whatever sockets they are on: handler, clock, and the patience with silent clients.
// Called by bun-http1.ts, node-http1.ts (real sockets) and sim-http1.ts (simulated ones). Promises: one sweep a second, armed only while there are connections, closes those
// whose clients are silent; a drain ends what is idle at once and lets the rest finish.
import { Http1Connection, type Http1Shared, type RawSocket } from './http1-connection.ts';
import type { Clock, ListenOptions, RequestHandler } from './runtime.ts';

const SWEEP_MS = 1_000;
/** So many sweeps may pass until a client that we have ended ends as well. */
const LINGER_SWEEPS_MAX = 2;

/** What a server is made of. */
export interface Http1ServerParts {
  readonly options: ListenOptions;
  readonly handler: RequestHandler;
  /** Its timers must not keep the process alive. */
  readonly clock: Pick<Clock, 'after' | 'wall'>;
  /** Hears of what a handler threw. */
  fault(thrown: unknown): void;
}

/** Connections of one listener. */
export class Http1Server implements Http1Shared {
  readonly handler: RequestHandler;
  readonly bodyBytesMax: number;
  readonly fault: (thrown: unknown) => void;
  private readonly clock: Http1ServerParts['clock'];
  private readonly connections = new Set<Http1Connection>();
  private readonly sweepsMax: number;
  private isSweeping = false;
  private draining: (() => void) | null = null;
  private dateText = '';
  private dateUntilMs = 0;

  constructor(parts: Http1ServerParts) {
    const { options, handler, clock } = parts;
    this.handler = handler;
    this.bodyBytesMax = options.bodyBytesMax;
    this.fault = (thrown) => parts.fault(thrown);
    this.clock = clock;
    this.sweepsMax = Math.max(1, Math.ceil(options.idleTimeoutMs / SWEEP_MS));
  }

  date(): string {
    const nowMs = this.clock.wall();
    if (nowMs >= this.dateUntilMs || nowMs < this.dateUntilMs - 1_000) {
      this.dateUntilMs = nowMs - (nowMs % 1_000) + 1_000;
      this.dateText = `date: ${new Date(nowMs).toUTCString()}\r\n`;
    }
    return this.dateText;
  }

  /** A client has connected. */
  opened(raw: RawSocket): Http1Connection {
    const connection = new Http1Connection(this, raw);
    this.connections.add(connection);
    if (this.draining !== null) connection.retire();
    if (!this.isSweeping) this.sweepLater();
    return connection;
  }

  /** A connection's socket has had its last event. */
  closed(connection: Http1Connection): void {
    this.connections.delete(connection);
    connection.closed();
    if (this.connections.size === 0) this.draining?.();
  }

  private sweepLater(): void {
    this.isSweeping = true;
    this.clock.after(SWEEP_MS, this.sweep);
  }

  private readonly sweep = (): void => {
    this.isSweeping = false;
    for (const connection of this.connections) {
      const patience = connection.isLingering ? LINGER_SWEEPS_MAX : this.sweepsMax;
      if (connection.isWaitedFor && ++connection.silence > patience) connection.breakOff();
    }
    if (this.connections.size > 0) this.sweepLater();
  };

  /** Resolves when no connection is left. */
  drain(): Promise<void> {
    return new Promise((resolve) => {
      this.draining = resolve;
      for (const connection of this.connections) connection.retire();
      if (this.connections.size === 0) resolve();
    });
  }

  /** Breaks every connection off. */
  stop(): void {
    for (const connection of this.connections) connection.breakOff();
  }
}
