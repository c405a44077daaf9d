// The HTTP/1.1 listener on raw sockets: about half of what a request costs through Bun.serve, which makes four objects and a string a header of it.
// Called by bun-listener.ts for listeners without TLS. Promises: runtime.ts; one sweep a second, armed only while there are connections, closes
// those whose clients are silent; a drain ends what is idle at once and lets the rest finish.
import { GatewayError } from '../base/errors.ts';
import { Http1Connection, type Http1Shared } from './http1-connection.ts';
import type { Listener, ListenOptions, RequestHandler } from './runtime.ts';
import { surface } from './surface.ts';

const SWEEP_MS = 1_000;
/** So many sweeps may pass until a client that we have ended ends as well. */
const LINGER_SWEEPS_MAX = 2;

/** Connections of one listener, and what they share. */
class Http1Server implements Http1Shared {
  readonly handler: RequestHandler;
  readonly bodyBytesMax: number;
  readonly fault: (thrown: unknown) => void;
  private readonly connections = new Set<Http1Connection>();
  private readonly sweepsMax: number;
  private isSweeping = false;
  private draining: (() => void) | null = null;
  private dateText = '';
  private dateUntilMs = 0;

  constructor(options: ListenOptions, handler: RequestHandler, fault: (thrown: unknown) => void) {
    this.handler = handler;
    this.bodyBytesMax = options.bodyBytesMax;
    this.fault = fault;
    this.sweepsMax = Math.max(1, Math.ceil(options.idleTimeoutMs / SWEEP_MS));
  }

  date(): string {
    const nowMs = Date.now();
    if (nowMs >= this.dateUntilMs || nowMs < this.dateUntilMs - 1_000) {
      this.dateUntilMs = nowMs - (nowMs % 1_000) + 1_000;
      this.dateText = `date: ${new Date(nowMs).toUTCString()}\r\n`;
    }
    return this.dateText;
  }

  readonly events: Bun.SocketHandler<Http1Connection> = {
    open: (raw) => {
      raw.setNoDelay(true);
      raw.data = new Http1Connection(this, raw);
      this.connections.add(raw.data);
      if (this.draining !== null) raw.data.retire();
      if (!this.isSweeping) this.sweepLater();
    },
    data(raw, bytes) {
      raw.data.data(bytes);
    },
    drain(raw) {
      raw.data.drain();
    },
    close: (raw) => {
      this.connections.delete(raw.data);
      raw.data.closed();
      if (this.connections.size === 0) this.draining?.();
    },
    error(_raw, error) {
      // What a handler threw must not be lost.
      surface(error);
    },
  };

  private sweepLater(): void {
    this.isSweeping = true;
    setTimeout(this.sweep, SWEEP_MS).unref();
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
}

/** Starts a listener; throws GW_RUNTIME_LISTEN when the address cannot be had. `fault` hears of what a handler threw. */
export function listenHttp1(
  options: ListenOptions,
  handler: RequestHandler,
  fault: (thrown: unknown) => void,
): Listener {
  const server = new Http1Server(options, handler, fault);
  const { host: hostname, port, reusePort } = options;
  try {
    // Bun.listen knows reusePort; its types do not, and a spread is not looked at that closely.
    const shared = reusePort ? { reusePort } : {};
    const listener = Bun.listen<Http1Connection>({ hostname, port, socket: server.events, ...shared });
    return {
      host: listener.hostname,
      port: listener.port,
      drain() {
        listener.stop(false);
        return server.drain();
      },
      stop: () => listener.stop(true),
    };
  } catch (thrown) {
    const reason = thrown instanceof Error ? thrown.message : String(thrown);
    throw new GatewayError('GW_RUNTIME_LISTEN', `"${hostname}:${port}": ${reason}`, thrown);
  }
}
