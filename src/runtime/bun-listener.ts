// The HTTP front on Bun.serve: requests in, replies out; and the choice between it and our own listener on raw sockets.
// Called by bun.ts only. Promises: a plain `fetch` handler and `.then` (routes and async functions cost a microsecond
// each); Bun's own limit on bodies never acts, ours does; a handler that throws costs its client a bare 500 and shows
// on stderr.
import { assert } from '../base/assert.ts';
import { GatewayError } from '../base/errors.ts';
import { listenHttp1OnBun } from './bun-http1.ts';
import { BunInbound, type BunServer, Watch } from './bun-inbound.ts';
import { streamedResponse } from './bun-stream.ts';
import type { HeaderRecord, Listener, ListenOptions, Reply, RequestHandler } from './runtime.ts';
import { mayWait, putOff } from './turn-end.ts';

/** Bun counts idle time in whole seconds (rounded up to four by its timer) and knows no more than 255 of them. */
const IDLE_SECONDS_MAX = 255;

/**
 * uWebSockets looks for idle connections this often and counts in such steps: a time-out of 1 s can be over at once, and take a request with it that
 * came a moment ago. One step more makes every time-out last at least as long as was asked for.
 */
const SWEEP_SECONDS = 4;
/** How often a drain looks whether requests are still under way. */
const DRAIN_LOOK_MS = 10;

type Fetch = (request: Request, server: BunServer) => Response | Promise<Response>;

/** Starts a listener; throws GW_RUNTIME_LISTEN when the address cannot be had. */
export function listenOnBun(options: ListenOptions, handler: RequestHandler): Listener {
  if (options.transport === 'sockets') {
    assert(options.tls === null, 'our own listener speaks plain HTTP');
    return listenHttp1OnBun(options, handler, tell);
  }
  const { bodyBytesMax } = options;
  const wantedSeconds = Math.max(1, Math.ceil(options.idleTimeoutMs / 1000));
  const idleSeconds = Math.min(IDLE_SECONDS_MAX, wantedSeconds + SWEEP_SECONDS);
  let watch: Watch | null = null;
  const fetch: Fetch = (request, server) => {
    watch ??= new Watch(server, idleSeconds, !options.http2 && !options.http3);
    const inbound = new BunInbound(request, watch, bodyBytesMax);
    const reply = handler(inbound);
    if (!(reply instanceof Promise)) return respond(inbound, reply);
    inbound.await();
    return reply.then(
      (settled) => (mayWait(settled) ? respondLate(inbound, settled) : respond(inbound, settled)),
      (thrown: unknown) => {
        inbound.finish();
        return fault(thrown);
      },
    );
  };
  const server = serve(options, idleSeconds, fetch);
  return {
    host: server.hostname ?? options.host,
    port: server.port ?? options.port,
    drain: () => drain(server),
    stop: () => {
      void server.stop(true);
    },
  };
}

function respondLate(inbound: BunInbound, reply: Reply): Promise<Response> {
  return new Promise((resolve) => {
    putOff(() => resolve(respond(inbound, reply)));
  });
}

function respond(inbound: BunInbound, reply: Reply): Response | Promise<Response> {
  const { body, status, headers } = reply;
  if (body !== null && !(body instanceof Uint8Array)) {
    try {
      return streamedResponse(inbound, reply, body);
    } catch (thrown) {
      inbound.finish();
      return fault(thrown);
    }
  }
  inbound.finish();
  // Bun takes any view as a body; the DOM's type excludes shared memory.
  return new Response(body as Uint8Array<ArrayBuffer> | null, { status, headers: prepared(headers) });
}

/** Headers of the last reply, and the record that they were made of. */
let lastHeaders = new Headers();
let lastNames: readonly string[] = [];

/**
 * Headers for a Response, which copies them at once. Most replies name the same headers as the one before, and to set a value anew costs less
 * than half of making headers from a record (1 to 3 µs a call).
 */
function prepared(record: HeaderRecord): Headers {
  let at = 0;
  for (const name in record) if (lastNames[at++] !== name) return fresh(record);
  if (at !== lastNames.length) return fresh(record);
  for (const name in record) lastHeaders.set(name, record[name] ?? '');
  return lastHeaders;
}

function fresh(record: HeaderRecord): Headers {
  // Should a value be refused, the next reply must not find half of it here.
  lastNames = [];
  lastHeaders = new Headers(record);
  lastNames = Object.keys(record);
  return lastHeaders;
}

/** The last resort: a front answers its own faults, so what arrives here is a fault of the front itself. */
function fault(thrown: unknown): Response {
  tell(thrown);
  return new Response(null, { status: 500 });
}

function tell(thrown: unknown): void {
  const error = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
  process.stderr.write(`${JSON.stringify({ level: 'error', msg: 'a request handler threw', error })}\n`);
}

/** Bun waits for connections that have sent no whole head yet as well; we wait for requests only. */
async function drain(server: BunServer): Promise<void> {
  const empty = server.stop(false);
  const answered = async (): Promise<void> => {
    while (server.pendingRequests > 0) await Bun.sleep(DRAIN_LOOK_MS);
    await Bun.sleep(DRAIN_LOOK_MS);
  };
  await Promise.race([empty, answered()]);
  void server.stop(true);
}

function serve(options: ListenOptions, idleSeconds: number, fetch: Fetch): BunServer {
  const { tls } = options;
  const clientCa = tls?.clientCa ?? null;
  try {
    return Bun.serve({
      hostname: options.host,
      port: options.port,
      reusePort: options.reusePort,
      idleTimeout: idleSeconds,
      maxRequestBodySize: Number.MAX_SAFE_INTEGER,
      development: false,
      http2: options.http2,
      http3: options.http3,
      ...(tls !== null && {
        tls: {
          cert: tls.cert,
          key: tls.key,
          ...(clientCa !== null && { ca: clientCa, requestCert: true, rejectUnauthorized: true }),
        },
      }),
      fetch,
      error: fault,
    });
  } catch (thrown) {
    const reason = thrown instanceof Error ? thrown.message : String(thrown);
    throw new GatewayError('GW_RUNTIME_LISTEN', `"${options.host}:${options.port}": ${reason}`, thrown);
  }
}
