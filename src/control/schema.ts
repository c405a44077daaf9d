// The one description of every option: type, unit, default, bounds, meaning.
// Called by check.ts (validates with it), editor.ts and scripts/docs.ts (docs/config.md, the editors' JSON Schema) and compile.ts (its types).
// Promises: an option that is here does something; unknown keys are refused; defaults that are limits come from base/limits.ts.
import * as z from 'zod/mini';
import { LIMITS } from '../base/limits.ts';
import type { Transport } from '../runtime/runtime.ts';
import { adminOptions } from './admin-schema.ts';
import { endpointFaults, endpoints, PREFIXES } from './endpoint-schema.ts';
import { logOptions } from './log-schema.ts';
import { metricsOptions } from './metrics-schema.ts';
import { choice, DAY, file, flag, hosts, list, MINUTE, shaped, text, time, told, whole } from './option.ts';
import { SERVER_NAME, SERVER_NAME_RULE, serverSchema } from './server-schema.ts';
import { tracingOptions } from './tracing-schema.ts';

const hostName = shaped(
  /^(?:\*|\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)$/,
  "a host name without a port, an address ([::1] for IPv6), or '*'",
);
const origin = shaped(
  /^(?:\*|null|[a-z][a-z0-9+.-]*:\/\/[^/\s?#]+)$/i,
  "an origin such as https://app.example, or '*'",
);
const paramHeader = shaped(
  /^mcp-param-[!#$%&'*+.^_`|~0-9A-Za-z-]+$/i,
  'a header name that begins with Mcp-Param-',
);

const listenTls = told(
  z.strictObject({
    cert: file('PEM file of the certificate chain.'),
    key: file('PEM file of the private key.'),
    clientCa: z.optional(
      file(
        'PEM file of the authorities that client certificates must come from. Left out: no client certificate is asked for.',
      ),
    ),
  }),
  'Serves HTTPS with these files. Left out: plain HTTP.',
);

const TRANSPORTS = ['uwebsockets', 'sockets'] as const satisfies readonly Transport[];

/** Why `sockets` is refused, for messages. */
export const SOCKETS_RULE = 'or sockets without tls, http2 and http3, since it speaks plain HTTP/1.1 only';

/** True when a listener speaks more than plain HTTP/1.1. */
export function speaksMore(listener: {
  readonly tls?: unknown;
  readonly http2: boolean;
  readonly http3: boolean;
}): boolean {
  return listener.tls !== undefined || listener.http2 || listener.http3;
}

const listen = told(
  z.prefault(
    z
      .strictObject({
        host: told(z._default(text(''), '127.0.0.1'), 'Address to listen on.'),
        port: whole('port', { min: 0, max: 65_535, value: 8700 }, 'Port to listen on; 0 takes any free one.'),
        transport: choice(
          TRANSPORTS,
          'uwebsockets',
          "What reads requests and writes replies. `uwebsockets`: the HTTP server inside Bun, on Node the package uWebSockets.js (where that cannot load, `sockets`; with `tls` node:https). `sockets`: the gateway's own HTTP/1.1 on raw sockets, which saves about a third of the CPU time of a call; the price is a request parser of the gateway's own, younger and less widely used than the other, and plain HTTP/1.1 only: refused together with `tls`, `http2` or `http3`.",
        ),
        // 75 s outlives the 60 s for which load balancers commonly keep their own side; Bun counts up to 255 s.
        idleTimeoutMs: time(
          1_000,
          255_000,
          75_000,
          'A connection without a request is closed after this long.',
        ),
        tls: z.optional(listenTls),
        serverTiming: flag(
          false,
          'Replies carry `Server-Timing` (W3C): how long the gateway and the server took, and what was waited for a connection. A request whose `_meta` has `sluice/timing: true` gets it in its result as well. It costs a call about 1 µs.',
        ),
        http2: flag(false, 'Speaks HTTP/2 as well; needs `tls`.'),
        http3: flag(false, 'Speaks HTTP/3 as well, on the same port over UDP; needs `tls`.'),
        allowedHosts: hosts(hostName),
        allowedOrigins: list(
          origin,
          1024,
          "Web origins whose pages may call the gateway (the Origin header), besides origins whose host is one of the allowed hosts. '*' accepts every origin.",
        ),
        corsHeaders: list(
          paramHeader,
          256,
          '`Mcp-Param-…` headers that web pages may send besides those of the protocol.',
        ),
      })
      .check(
        z.refine((value) => value.transport !== 'sockets' || !speaksMore(value), {
          path: ['transport'],
          error: `uwebsockets, ${SOCKETS_RULE}`,
        }),
        z.refine((value) => value.tls !== undefined || !value.http2, {
          path: ['http2'],
          error: 'false, or true together with tls',
        }),
        z.refine((value) => value.tls !== undefined || !value.http3, {
          path: ['http3'],
          error: 'false, or true together with tls',
        }),
      ),
    {},
  ),
  'Where clients connect.',
);

/** A limit whose default is that of base/limits.ts. */
function limit(
  name: keyof typeof LIMITS & string,
  unit: string,
  range: readonly [number, number],
  meaning: string,
) {
  return whole(unit, { min: range[0], max: range[1], value: LIMITS[name] }, meaning);
}

const limits = told(
  z.prefault(
    z.strictObject({
      bodyBytesMax: limit(
        'bodyBytesMax',
        'bytes',
        [1024, LIMITS.messageBytesMax],
        'Largest request body; a larger one is refused with 413.',
      ),
      headerCountMax: limit(
        'headerCountMax',
        'headers',
        [16, 100],
        'Most header lines of a request; more are refused with 431.',
      ),
      headerBytesMax: limit(
        'headerBytesMax',
        'bytes',
        [1024, 16_384],
        'All header bytes of a request together; more are refused with 431.',
      ),
      exchangesMax: limit(
        'exchangesMax',
        'exchanges',
        [1, 1_000_000],
        'Exchanges that each worker has under way at once; more are refused with 503.',
      ),
      perEndpointMax: whole(
        'exchanges',
        { min: 0, max: 1_000_000, value: 0 },
        'The same of one endpoint; 0 = any number.',
      ),
      perPrincipalMax: whole(
        'exchanges',
        { min: 0, max: 1_000_000, value: 0 },
        'The same of one principal; where nobody is asked who they are, all clients are one. 0 = any number.',
      ),
      lagMaxMs: time(
        0,
        MINUTE,
        0,
        'Requests are refused with 503 before their bodies are read while a worker is so far behind with its events; 0 = never.',
      ),
      sessionsMax: limit(
        'sessionsMax',
        'sessions',
        [1, 10_000_000],
        'Sessions of clients before MCP 2026-07-28 that each worker holds at once; more are refused with 503.',
      ),
      sessionIdleMs: limit(
        'sessionIdleMs',
        'ms',
        [1_000, 7 * DAY],
        'A session that nobody used for this long is ended.',
      ),
      memberTimeoutMs: limit(
        'memberTimeoutMs',
        'ms',
        [10, 10 * MINUTE],
        'Longest that initialize, discover and lists take when all servers are asked; a server that has not answered shortly before that is left out.',
      ),
      listGraceMs: limit(
        'listGraceMs',
        'ms',
        [0, DAY],
        "For how long a server's last list stands in for it while it is down or slow.",
      ),
      pageSize: limit(
        'pageSize',
        'elements',
        [0, 1_000_000],
        'Elements on a page of a joined list; 0 = all on one. Some clients read the first page only.',
      ),
      parkedMax: limit(
        'parkedMax',
        'calls',
        [0, 1_000_000],
        "Calls of 2026-07-28 clients that each worker keeps waiting for the client's answer to a question of an older server.",
      ),
      parkedMs: limit(
        'parkedMs',
        'ms',
        [1_000, DAY],
        'A call that waited for so long is cancelled at its server.',
      ),
      drainMs: limit(
        'drainMs',
        'ms',
        [0, 60 * MINUTE],
        'Time that running exchanges get to finish when the gateway stops.',
      ),
    }),
    {},
  ),
  'Bounds on what clients may ask for.',
);

const workers = told(
  z._default(
    z.union([z.literal('auto'), z.int().check(z.minimum(1), z.maximum(LIMITS.workersMax))], {
      error: `'auto', or a whole number from 1 to ${LIMITS.workersMax}`,
    }),
    'auto',
  ),
  'Threads that serve clients, each with a listener of its own on the same port. `auto`: as many as there are processors to run them.',
);

const admin = adminOptions(hostName, origin);

const registry = told(
  z.prefault(
    z.strictObject({
      enabled: flag(true, 'False: there are no servers but those of this file.'),
      serversMax: whole(
        'servers',
        { min: 1, max: 100_000, value: LIMITS.registryServersMax },
        'Servers that the registry holds, and that the gateway has room for from its start on: about 9 KB of addresses each for every worker, of which memory is used only for those that are called.',
      ),
    }),
    {},
  ),
  'Servers that are added, changed and removed while the gateway runs, through the admin API. They are kept in `registry.db` in `dataDir`. `sluice serve` alone has them.',
);

/** All options, each by itself. */
const options = z.strictObject({
  $schema: z.optional(told(z.string(), 'For editors: where the JSON Schema of this file is.')),
  listen,
  admin,
  workers,
  limits,
  log: logOptions,
  metrics: metricsOptions,
  tracing: tracingOptions,
  dataDir: z.optional(
    file(
      'Directory where the gateway keeps its data, such as the keys of session ids; made when it is missing. Left out: `$XDG_STATE_HOME/sluice`, or `~/.local/state/sluice`.',
    ),
  ),
  prefix: choice(
    PREFIXES,
    'auto',
    'Names on /mcp: `auto` writes them as server__tool when there are several servers, `always` also when there is one, `never` leaves them as the servers have them: of two alike the first server keeps the name, the other one becomes server__tool.',
  ),
  scan: choice(
    ['auto', 'addon', 'portable'],
    'auto',
    'Which scanner reads messages: the native addon, its portable twin, or the addon when it can be loaded. SLUICE_SCAN decides before this.',
  ),
  servers: told(
    z.record(shaped(SERVER_NAME, SERVER_NAME_RULE), serverSchema),
    'The MCP servers behind the gateway, by name. Each is reached as /mcp/<name> and all together as /mcp. Those of the registry come behind them, so there may be none here: `{}`.',
  ),
  endpoints,
  registry,
});

/** The whole configuration. */
export const configSchema = options.check(({ value, issues }) => {
  for (const { path, message } of endpointFaults(value.endpoints, value.servers))
    issues.push({ code: 'custom', input: value, path: [...path], message });
});

/** A validated configuration: every default filled in, paths absolute. */
export type Config = z.output<typeof configSchema>;
