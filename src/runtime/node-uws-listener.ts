// The HTTP front on uWebSockets.js.
// Called by node-listener.ts. Promises: runtime.ts's Listener over HTTP/1.1, with TLS where it is asked for (client certificates it cannot demand); a head that two readers could take differently is refused,
// and its connection closed, before a handler sees it; a handler that throws costs its client a bare 500.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EMPTY, encode } from '../base/bytes.ts';
import { GatewayError } from '../base/errors.ts';
import type { Uws, UwsApp, UwsRequest, UwsResponse, UwsToken } from './node-uws.ts';
import { canSend, sendWhole, unsendable } from './node-uws-head.ts';
import { UwsInbound, type UwsShared } from './node-uws-inbound.ts';
import { streamReply } from './node-uws-stream.ts';
import type { Listener, ListenOptions, Reply, RequestHandler, TlsListenOptions } from './runtime.ts';
import { mayWait, putOff } from './turn-end.ts';

const LENGTH_REQUIRED = 411;
const LENGTH_PLEASE = encode(
  'Send a Content-Length: uWebSockets.js is no safe reader of bodies in chunks. The gateway takes them on Bun, and on Node with listen.transport "sockets"\n',
);
/** Replies that the library has taken get so long to leave before a drain closes their connections. */
const DRAIN_LEAVE_MS = 20;

/** The requests of one listener. */
class UwsServer implements UwsShared {
  readonly bodyBytesMax: number;
  isDraining = false;
  private readonly handler: RequestHandler;
  private readonly fault: (thrown: unknown) => void;
  private underWay = 0;
  private onIdle: (() => void) | null = null;

  constructor(options: ListenOptions, handler: RequestHandler, fault: (thrown: unknown) => void) {
    this.bodyBytesMax = options.bodyBytesMax;
    this.handler = handler;
    this.fault = fault;
  }

  readonly serve = (response: UwsResponse, request: UwsRequest): void => {
    const inbound = new UwsInbound(this, response, request);
    this.underWay++;
    if (inbound.fault !== 0) return this.refuse(inbound, inbound.fault);
    try {
      const reply = this.handler(inbound);
      if (!(reply instanceof Promise)) return this.answer(inbound, reply);
      reply.then(
        (settled) => {
          if (mayWait(settled)) putOff(() => this.answer(inbound, settled));
          else this.answer(inbound, settled);
        },
        (thrown: unknown) => this.broke(inbound, thrown),
      );
    } catch (thrown) {
      this.broke(inbound, thrown);
    }
  };

  ended(): void {
    this.underWay--;
    if (this.underWay === 0) this.onIdle?.();
  }

  private answer(inbound: UwsInbound, reply: Reply): void {
    if (inbound.ended) return;
    const { body, headers } = reply;
    if (!canSend(headers)) return this.broke(inbound, unsendable());
    if (this.isDraining || headers.connection === 'close') inbound.mustClose = true;
    if (body === null || body instanceof Uint8Array) return sendWhole(inbound, reply, body ?? EMPTY);
    try {
      streamReply(inbound, reply, body);
    } catch (thrown) {
      this.broke(inbound, thrown);
    }
  }

  private broke(inbound: UwsInbound, thrown: unknown): void {
    this.fault(thrown);
    if (!inbound.ended) sendWhole(inbound, { status: 500, headers: {}, body: null }, EMPTY);
  }

  /** What follows such a head may be its body or another request: nothing more is read. */
  private refuse(inbound: UwsInbound, status: number): void {
    inbound.mustClose = true;
    const body = status === LENGTH_REQUIRED ? LENGTH_PLEASE : EMPTY;
    sendWhole(inbound, { status, headers: { 'content-type': 'text/plain' }, body: null }, body);
  }

  /** Resolves when no request is under way. */
  idle(): Promise<void> {
    this.isDraining = true;
    if (this.underWay === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.onIdle = resolve;
    });
  }
}

/** What closes the listeners of this thread that are open. */
const openApps = new Set<() => void>();

/** Closes every listener of this thread, and their connections, at once. */
export function closeUwsApps(): void {
  for (const close of openApps) close();
}

/** Starts a listener; throws GW_RUNTIME_LISTEN when the address cannot be had. `fault` hears of what a handler threw. */
export function listenOnUws(
  uws: Uws,
  options: ListenOptions,
  handler: RequestHandler,
  fault: (thrown: unknown) => void,
): Listener {
  const server = new UwsServer(options, handler, fault);
  const app = createApp(uws, options).any('/*', server.serve);
  const token = open(uws, app, { ...options, port: sharedPort(uws, options) });
  const port = uws.us_socket_local_port(token);
  let isClosed = false;
  const close = (): void => {
    if (isClosed) return;
    isClosed = true;
    openApps.delete(close);
    app.close();
  };
  openApps.add(close);
  return {
    host: options.host,
    port,
    async drain() {
      if (!isClosed) uws.us_listen_socket_close(token);
      await server.idle();
      await new Promise((resolve) => setTimeout(resolve, DRAIN_LEAVE_MS));
      close();
    },
    stop: close,
  };
}

/** The library lets a port be shared only where it is named: a free one is found first. */
function sharedPort(uws: Uws, options: ListenOptions): number {
  if (!options.reusePort || options.port !== 0) return options.port;
  const app = uws.App();
  const token = open(uws, app, { ...options, reusePort: false });
  const port = uws.us_socket_local_port(token);
  app.close();
  return port;
}

/** The address is bound when this returns. */
function open(uws: Uws, app: UwsApp, options: ListenOptions): UwsToken {
  const { host, port, reusePort } = options;
  const opened: UwsToken[] = [];
  // It calls back at once, and says no more than that it failed.
  app.listen(host, port, reusePort ? 0 : uws.LIBUS_LISTEN_EXCLUSIVE_PORT, (token) => {
    if (token !== false) opened.push(token);
  });
  const [token] = opened;
  if (token !== undefined) return token;
  app.close();
  throw new GatewayError(
    'GW_RUNTIME_LISTEN',
    `"${host}:${port}": the port is in use, or not this user's to take, or the address is not this machine's (EADDRINUSE, EACCES, EADDRNOTAVAIL)`,
  );
}

function createApp(uws: Uws, options: ListenOptions): UwsApp {
  const { tls, host, port } = options;
  if (tls === null) return uws.App();
  try {
    return withFiles(tls, (cert, key) => uws.SSLApp({ cert_file_name: cert, key_file_name: key }));
  } catch (thrown) {
    const reason = 'the certificate or its key cannot be used: both are PEM texts, and belong together';
    throw new GatewayError('GW_RUNTIME_LISTEN', `"${host}:${port}": ${reason}`, thrown);
  }
}

/** The library reads certificate and key from files: for as long as `make` runs there are two, this user's alone. */
function withFiles<T>(tls: TlsListenOptions, make: (cert: string, key: string) => T): T {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-tls-'));
  const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
  try {
    writeFileSync(cert, tls.cert, { mode: 0o600 });
    writeFileSync(key, tls.key, { mode: 0o600 });
    return make(cert, key);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
