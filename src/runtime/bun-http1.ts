// The HTTP/1.1 listener on Bun's raw sockets: about half of what a request costs through Bun.serve, which makes four objects and a string a header of it.
// Called by bun-listener.ts for listeners without TLS. Promises: runtime.ts.
import { GatewayError } from '../base/errors.ts';
import { systemClock } from './clock.ts';
import type { Http1Connection } from './http1-connection.ts';
import { Http1Server } from './http1-server.ts';
import type { Listener, ListenOptions, RequestHandler } from './runtime.ts';
import { surface } from './surface.ts';

function eventsOf(server: Http1Server): Bun.SocketHandler<Http1Connection> {
  return {
    open(raw) {
      raw.setNoDelay(true);
      raw.data = server.opened(raw);
    },
    data(raw, bytes) {
      raw.data.data(bytes);
    },
    drain(raw) {
      raw.data.drain();
    },
    close(raw) {
      server.closed(raw.data);
    },
    error(_raw, error) {
      // What a handler threw must not be lost.
      surface(error);
    },
  };
}

/** Starts a listener; throws GW_RUNTIME_LISTEN when the address cannot be had. `fault` hears of what a handler threw. */
export function listenHttp1OnBun(
  options: ListenOptions,
  handler: RequestHandler,
  fault: (thrown: unknown) => void,
): Listener {
  const server = new Http1Server({ options, handler, clock: systemClock, fault });
  const { host: hostname, port, reusePort } = options;
  try {
    // Bun.listen knows reusePort; its types do not, and a spread is not looked at that closely.
    const shared = reusePort ? { reusePort } : {};
    const socket = eventsOf(server);
    const listener = Bun.listen<Http1Connection>({ hostname, port, socket, ...shared });
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
