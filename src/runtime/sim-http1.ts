// The gateway's own HTTP/1.1 listener on simulated sockets.
// Called by sim.ts and sim-realm.ts for listeners with the transport `sockets`. Promises: runtime.ts; the code that serves is the one that serves on real sockets.
import { GatewayError } from '../base/errors.ts';
import { Http1Server } from './http1-server.ts';
import type { Listener, ListenOptions, RequestHandler, SocketHandler } from './runtime.ts';
import type { Accept, PeerSocket, Places } from './sim-network.ts';

function handlerOf(server: Http1Server, socket: PeerSocket): SocketHandler {
  const connection = server.opened({
    remoteAddress: '127.0.0.1',
    write: (bytes, start, length) => socket.write(bytes, start, start + length),
    end: () => socket.end(),
    shutdown: () => socket.halfClose(),
    terminate: () => socket.destroy(),
    pause: () => socket.pause(),
    resume: () => socket.resume(),
  });
  return {
    onOpen: () => undefined,
    onData: (bytes) => connection.data(bytes),
    onDrain: () => connection.drain(),
    onEnd: () => undefined,
    onClose: () => server.closed(connection),
    onConnectError: () => undefined,
  };
}

/** Starts a listener; throws GW_RUNTIME_LISTEN when the port is taken. `fault` hears of what a handler threw. */
export function listenSimHttp1(
  places: Places,
  options: ListenOptions,
  handler: RequestHandler,
  fault: (thrown: unknown) => void,
): Listener {
  const server = new Http1Server({ options, handler, clock: places.clock, fault });
  const port = options.port === 0 ? places.freePort() : options.port;
  const accept: Accept = (socket) => handlerOf(server, socket);
  const unbind = places.bind(`:${port}`, accept, options.reusePort);
  if (unbind === null)
    throw new GatewayError('GW_RUNTIME_LISTEN', `"${options.host}:${port}": the port is in use`);
  return {
    host: options.host,
    port,
    drain() {
      unbind();
      return server.drain();
    },
    stop() {
      unbind();
      server.stop();
    },
  };
}
