// Which listener serves on Node: uWebSockets.js, or our own HTTP/1.1 on raw sockets; node:https where TLS is wanted that the former is absent for or gives less of.
// Called by node.ts only. Promises: what cannot be had is refused, or told of in one line on stderr, once a process.
import { assert } from '../base/assert.ts';
import { GatewayError } from '../base/errors.ts';
import { listenOnNodeHttp } from './node-http.ts';
import { listenHttp1OnNode } from './node-http1.ts';
import { isFirst } from './node-once.ts';
import { loadUws } from './node-uws.ts';
import { listenOnUws } from './node-uws-listener.ts';
import type { Listener, ListenOptions, RequestHandler } from './runtime.ts';

/** Starts a listener; throws GW_RUNTIME_LISTEN when the address cannot be had, or not in the way that was asked for. */
export function listenOnNode(options: ListenOptions, handler: RequestHandler): Listener {
  const { host, port, tls } = options;
  if (options.http2 || options.http3)
    throw new GatewayError(
      'GW_RUNTIME_LISTEN',
      `"${host}:${port}": HTTP/2 and HTTP/3 need Bun: uWebSockets.js has neither`,
    );
  if (options.transport === 'sockets') {
    assert(tls === null, 'our own listener speaks plain HTTP');
    return listenHttp1OnNode(options, handler, tell);
  }
  const { uws, failure } = loadUws();
  // It asks for a client certificate, and lets those in who have none.
  const reason =
    tls !== null && tls.clientCa !== null ? 'uWebSockets.js cannot demand client certificates' : failure;
  if (uws !== null && reason === null) return listenOnUws(uws, options, handler, tell);
  if (tls === null) {
    warn(`the gateway's own HTTP/1.1 serves instead of uWebSockets.js: ${reason}`);
    return listenHttp1OnNode(options, handler, tell);
  }
  warn(`node:https serves instead of uWebSockets.js, at more than twice the CPU time: ${reason}`);
  return listenOnNodeHttp(options, handler, tell);
}

function warn(msg: string): void {
  if (!isFirst()) return;
  const time = new Date().toISOString();
  process.stderr.write(`${JSON.stringify({ time, level: 'warn', msg })}\n`);
}

function tell(thrown: unknown): void {
  const error = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
  process.stderr.write(`${JSON.stringify({ level: 'error', msg: 'a request handler threw', error })}\n`);
}
