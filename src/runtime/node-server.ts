// Listening sockets on node:net.
// Called by node-http.ts and node-http1.ts. Promises: the address is bound, or GW_RUNTIME_LISTEN thrown, before this returns.
import net from 'node:net';
import { getSystemErrorName } from 'node:util';
import { GatewayError } from '../base/errors.ts';
import { LONE_WORKER, tcpBinding } from './node-ports.ts';
import type { ListenOptions } from './runtime.ts';

/** Binds a server and listens; returns the port that it has. */
export function bindServer(server: net.Server, options: ListenOptions): number {
  const { host, port, reusePort } = options;
  const refuse = (reason: string): never => {
    throw new GatewayError('GW_RUNTIME_LISTEN', `"${host}:${port}": ${reason}`);
  };
  const address = host === 'localhost' ? '127.0.0.1' : host;
  const family = net.isIP(address);
  if (family === 0)
    return refuse('give an IP address: uWebSockets.js, which is not in use, could look a name up');
  const { TCP, constants } = tcpBinding();
  const flags = reusePort ? constants.UV_TCP_REUSEPORT : 0;
  if (flags === undefined) return refuse(LONE_WORKER);
  const handle = new TCP(constants.SERVER);
  const fault = family === 6 ? handle.bind6(address, port, flags) : handle.bind(address, port, flags);
  if (fault !== 0) {
    handle.close();
    return refuse(getSystemErrorName(fault));
  }
  server.on('error', () => undefined);
  // node:net takes such a handle; its types do not say so.
  server.listen(handle as unknown as net.ListenOptions);
  const bound = server.address();
  // What bind() is not told of, listen() is.
  return bound === null || typeof bound === 'string' ? refuse('EADDRINUSE: the port is in use') : bound.port;
}
