// The HTTP front on node:https, for where uWebSockets.js does not load or gives less; on node:http as well, for the contract.
// Called by node-listener.ts. Promises: runtime.ts's Listener over HTTP/1.1, client certificates included; a head that two readers could take differently is refused,
// and its connection closed, before a handler sees it; a handler that throws costs its client a bare 500.
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import { EMPTY } from '../base/bytes.ts';
import { GatewayError } from '../base/errors.ts';
import { NodeHttpInbound } from './node-http-inbound.ts';
import { streamOnNodeHttp } from './node-http-stream.ts';
import { bindServer } from './node-server.ts';
import type { Listener, ListenOptions, Reply, RequestHandler } from './runtime.ts';

const HEAD_BYTES_MAX = 16 * 1024;
/** How often a drain looks for connections that have become idle. */
const DRAIN_LOOK_MS = 10;

/** The requests of one listener. */
class HttpFront {
  private readonly bodyBytesMax: number;
  private readonly handler: RequestHandler;
  private readonly fault: (thrown: unknown) => void;

  constructor(options: ListenOptions, handler: RequestHandler, fault: (thrown: unknown) => void) {
    this.bodyBytesMax = options.bodyBytesMax;
    this.handler = handler;
    this.fault = fault;
  }

  readonly serve = (request: IncomingMessage, response: ServerResponse): void => {
    const inbound = new NodeHttpInbound(request, response, this.bodyBytesMax);
    if (inbound.fault !== 0) {
      response.shouldKeepAlive = false;
      return this.send(inbound, { status: inbound.fault, headers: {}, body: null }, EMPTY);
    }
    try {
      const reply = this.handler(inbound);
      if (!(reply instanceof Promise)) return this.answer(inbound, reply);
      reply.then(
        (settled) => this.answer(inbound, settled),
        (thrown: unknown) => this.broke(inbound, thrown),
      );
    } catch (thrown) {
      this.broke(inbound, thrown);
    }
  };

  private answer(inbound: NodeHttpInbound, reply: Reply): void {
    if (inbound.ended) return;
    const { body } = reply;
    try {
      if (body === null || body instanceof Uint8Array) this.send(inbound, reply, body ?? EMPTY);
      else streamOnNodeHttp(inbound, reply, body);
    } catch (thrown) {
      this.broke(inbound, thrown);
    }
  }

  private send(inbound: NodeHttpInbound, { status, headers }: Reply, body: Uint8Array): void {
    const { response } = inbound;
    const hasLength = status !== 204 && status !== 304;
    response.writeHead(status, hasLength ? { ...headers, 'content-length': body.length } : { ...headers });
    response.end(body);
  }

  private broke(inbound: NodeHttpInbound, thrown: unknown): void {
    this.fault(thrown);
    if (inbound.ended) return;
    if (inbound.response.headersSent) inbound.response.destroy();
    else this.send(inbound, { status: 500, headers: {}, body: null }, EMPTY);
  }
}

function createServer(options: ListenOptions, front: HttpFront): http.Server {
  const { tls, idleTimeoutMs, host, port } = options;
  const settings = {
    noDelay: true,
    maxHeaderSize: HEAD_BYTES_MAX,
    keepAliveTimeout: idleTimeoutMs,
    headersTimeout: idleTimeoutMs,
    // Bodies have an idle timeout of their own.
    requestTimeout: 0,
  };
  if (tls === null) return http.createServer(settings, front.serve);
  const { cert, key, clientCa } = tls;
  const certificates = clientCa === null ? {} : { ca: clientCa, requestCert: true, rejectUnauthorized: true };
  try {
    const https = process.getBuiltinModule('node:https');
    return https.createServer({ ...settings, cert, key, ...certificates }, front.serve);
  } catch (thrown) {
    throw new GatewayError('GW_RUNTIME_LISTEN', `"${host}:${port}": ${String(thrown)}`, thrown);
  }
}

/** Starts a listener; throws GW_RUNTIME_LISTEN when the address cannot be had. `fault` hears of what a handler threw. */
export function listenOnNodeHttp(
  options: ListenOptions,
  handler: RequestHandler,
  fault: (thrown: unknown) => void,
): Listener {
  const front = new HttpFront(options, handler, fault);
  const server = createServer(options, front);
  // A connection that is silent while nothing is asked, or in the middle of a head or body, is closed; those that wait for a reply are exempt.
  server.timeout = 0;
  server.on('checkContinue', front.serve);
  const port = bindServer(server, options);
  return {
    host: options.host,
    port,
    drain() {
      const closed = new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
      const look = setInterval(() => server.closeIdleConnections(), DRAIN_LOOK_MS);
      server.closeIdleConnections();
      return closed.finally(() => clearInterval(look));
    },
    stop() {
      server.close();
      server.closeAllConnections();
    },
  };
}
