// The options of one MCP server: a process, or a URL.
// Called by schema.ts, check.ts, clients.ts, compile.ts. Promises: as schema.ts.
import * as z from 'zod/mini';
import { LIMITS } from '../base/limits.ts';
import { KEEP_DEFAULTS } from '../upstream/spec.ts';
import { choice, DAY, file, flag, list, MINUTE, shaped, text, time, told, whole } from './option.ts';
import { breaker, timeouts } from './server-bounds.ts';
import { cache, cacheTools } from './server-cache.ts';
import { policies } from './server-policies.ts';
import { replication, weight } from './server-replicas.ts';

/** Names that are safe as a path segment and before the `__` of a prefixed name. */
export const SERVER_NAME = /^[A-Za-z0-9](?!.*__)(?:[A-Za-z0-9_.-]{0,30}[A-Za-z0-9.-])?$/;

/** What SERVER_NAME accepts, in words. */
export const SERVER_NAME_RULE =
  "a name of 1 to 32 of A-Z a-z 0-9 _ . -, beginning with a letter or digit, not ending with _ and without '__', '+' or '/' (these part server and tool names)";

/**
 * Headers that the gateway writes itself for every request to a server: framing, connection, media types and the protocol's own
 * (RFC 9110 §7.6.1, MCP Streamable HTTP). They can be neither configured nor forwarded.
 */
export const OWN_HEADERS: readonly string[] = Object.freeze([
  'accept',
  'connection',
  'content-encoding',
  'content-length',
  'content-type',
  'expect',
  'host',
  'keep-alive',
  'last-event-id',
  'mcp-method',
  'mcp-name',
  'mcp-protocol-version',
  'mcp-session-id',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** Replicas of one server: more are a matter for a load balancer of their own. */
const REPLICAS_MAX = 64;

const headerName = shaped(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/, 'a header name (RFC 9110)').check(
  z.refine((name) => !OWN_HEADERS.includes(name.toLowerCase()), {
    error: 'a header that the gateway does not write itself (it owns those of framing and of the protocol)',
  }),
);

const headerValue = shaped(
  /^(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]{0,8190}[\x21-\x7e\x80-\xff])?)?$/,
  'a header value on one line, without control characters and without blanks at its ends',
);

const plainText = shaped(/^[^\0]*$/, 'text without NUL');
const variableName = shaped(/^[^=\0]+$/, 'a variable name, without = and NUL');

function isHttpUrl(value: string): boolean {
  if (!/^https?:\/\/[^\s]+$/i.test(value) || value.includes('#')) return false;
  const url = URL.parse(value);
  if (url === null || url.hostname === '' || url.port === '0') return false;
  try {
    // compile.ts decodes credentials for the Authorization header.
    decodeURIComponent(url.username + url.password);
    return true;
  } catch {
    return false;
  }
}

const httpUrl = z.string().check(
  z.refine(isHttpUrl, {
    error: 'a whole http:// or https:// URL without a fragment, such as https://mcp.example/mcp',
  }),
);

const common = {
  era: choice(
    ['auto', 'legacy', 'modern'],
    'auto',
    'Protocol era that the server speaks: `legacy` (2024-11-05 to 2025-11-25, with the initialize handshake), `modern` (2026-07-28, without), `auto` finds out. Clients of the other era are bridged.',
  ),
  timeouts,
  breaker,
  cache,
  cacheTools,
  ...policies,
  queueDepthMax: whole(
    'requests',
    { min: 0, max: 1_000_000, value: LIMITS.queueDepthMax },
    'Requests that may wait for a connection (HTTP) or be under way on the process (stdio) before more are refused with 503.',
  ),
  forwardHeaders: list(
    headerName,
    64,
    'Headers of the client that are passed on to the server besides those of the protocol.',
  ),
  required: flag(
    false,
    'True: the gateway is ready (`/readyz`) only once this server has answered, and while one of its places at least is in use. Nothing waits for it: other servers are served meanwhile, and so is this one.',
  ),
  disabled: flag(false, 'True leaves the server out, as if it were not written.'),
};

const keep = {
  sharing: choice(
    ['auto', 'shared', 'session'],
    KEEP_DEFAULTS.sharing,
    'Who shares a process. `auto`: all clients of MCP 2026-07-28 share one, each session of an earlier revision has its own. `shared`: all those sessions share one as well, which is right only for a server that keeps nothing of its clients: it is initialised once, as the first client asked. `session`: nothing is shared between principals either; clients of MCP 2026-07-28, which have no session, get a process per principal (one for all where nobody is asked who they are).',
  ),
  warm: whole(
    'processes',
    { min: 0, max: LIMITS.childWarmMax, value: KEEP_DEFAULTS.warm },
    'Processes that each worker keeps started for sessions to come, from the first session on (from the start with `era: legacy`). They count as sessions against `limits.sessionsMax`.',
  ),
  idleMs: time(
    0,
    7 * DAY,
    KEEP_DEFAULTS.idleMs,
    'A shared process that has no call and no listener for this long is ended, and started again when it is needed; 0 = never. What the gateway itself hears for its cache does not count. The process of a session ends with it, see `limits.sessionIdleMs`.',
  ),
  startMs: time(
    10,
    60 * MINUTE,
    KEEP_DEFAULTS.startMs,
    'Time that a new process has to answer its first request, when that is one that every server answers at once (`initialize`, `server/discover`, a list). It is killed then, and counts as one that could not be started.',
  ),
  memoryMaxBytes: whole(
    'bytes',
    { min: 0, max: 2 ** 50, value: KEEP_DEFAULTS.memoryMaxBytes },
    'Resident memory of a process and what it has started, together, beyond which it is replaced: calls under way get a moment to finish, those that come go to its successor; 0 = no bound. Needs Linux.',
  ),
};

const stdioServer = told(
  z.strictObject({
    command: text(
      'Program to start. A relative path with a slash is taken from `cwd`; a bare name is looked up in PATH.',
    ),
    args: list(plainText, 4096, 'Arguments, one entry each. No shell reads them.'),
    cwd: z.optional(file("Working directory of the process. Left out: the configuration's own directory.")),
    env: told(
      z._default(z.record(variableName, plainText), {}),
      'Environment variables of the process, besides the few that every process gets.',
    ),
    inheritEnv: list(
      variableName,
      1024,
      "Names of variables of the gateway's own environment that the process gets as well.",
    ),
    ...keep,
    ...common,
  }),
  'An MCP server that is started as a process and spoken to on stdin and stdout.',
);

const clientTls = told(
  z.prefault(
    z
      .strictObject({
        serverName: z.optional(text("Name for SNI and for the certificate check. Left out: the URL's host.")),
        ca: z.optional(file("PEM file of the authorities to trust instead of the system's.")),
        cert: z.optional(file('PEM file of the client certificate to present; needs `key`.')),
        key: z.optional(file("PEM file of the client certificate's private key; needs `cert`.")),
        verify: flag(true, 'False accepts any certificate. Only for tests.'),
      })
      .check(
        z.refine((value) => (value.cert === undefined) === (value.key === undefined), {
          error: 'both cert and key, or neither',
        }),
      ),
    {},
  ),
  'TLS towards the server, for https URLs.',
);

/** One place of a server. */
const httpPlace = {
  url: told(
    httpUrl,
    "URL of the server's MCP endpoint. Credentials in it are sent as HTTP Basic authentication.",
  ),
  unixPath: z.optional(file('Unix socket to connect to instead of the host and port of the URL.')),
};

const mirror = z.optional(
  told(
    z.strictObject({
      url: told(httpUrl, 'URL of the other place. Credentials in it are sent as HTTP Basic authentication.'),
      percent: told(
        z.int().check(z.minimum(1), z.maximum(100)),
        'Share of the requests that may be copied which are.',
        'percent',
      ),
      all: flag(
        false,
        'True copies the calls of any tool; false only those of tools that may be called twice, see `tools`.',
      ),
      headers: told(
        z._default(z.record(headerName, headerValue), {}),
        "Headers sent with every copy; the server's own `headers` are not.",
      ),
      forwardHeaders: list(
        headerName,
        64,
        'Headers of the client that go along with a copy, of those in `forwardHeaders` of the server; no other does.',
      ),
    }),
    `Copies of requests of 2026-07-28 clients to another place, whose replies nobody gets: lists and other reads, and calls of tools that may be called twice. At most ${LIMITS.mirrorConnectionsMax} copies of each worker are under way; beyond that none is made. Left out: no copies.`,
  ),
);

/** What all places of one server have in common. */
const httpCommon = {
  mirror,
  headers: told(
    z._default(z.record(headerName, headerValue), {}),
    'Headers sent with every request to the server.',
  ),
  client: choice(
    ['http1', 'fetch'],
    'http1',
    "`http1` is Sluice's own pooled HTTP/1.1 client, the fast one; `fetch` is for servers that want HTTP/2 or HTTP/3.",
  ),
  transport: choice(
    ['auto', 'streamable-http', 'sse'],
    'auto',
    '`streamable-http` is the transport of today; `sse` is HTTP+SSE of 2024-11-05, whose URL often ends with /sse; `auto` speaks the former until the server refuses it and names an endpoint of the latter.',
  ),
  tls: clientTls,
  connectionsMax: whole(
    'connections',
    { min: 1, max: 65_535, value: LIMITS.connectionsMax },
    'Connections held open to the server at once, by all workers together (by each worker with `client: fetch`). Event streams that last are not counted.',
  ),
  ...common,
};

const httpServer = told(
  z.strictObject({ ...httpPlace, ...httpCommon }),
  'An MCP server that is reached over HTTP.',
);

const replicatedServer = told(
  z.strictObject({
    replicas: told(
      z.array(z.strictObject({ ...httpPlace, weight })).check(
        z.minLength(1),
        z.maxLength(REPLICAS_MAX),
        z.refine((places) => places.some((place) => place.weight > 0), {
          error: 'at least one place with a weight above 0',
        }),
      ),
      'The same server in several places; `balance` says which one a request goes to. A legacy session stays where it began, and so does a task of 2026-07-28 (one listen hears of the tasks of one place). Each place has connections and a breaker of its own, and is left out while that is open.',
    ),
    ...replication,
    ...httpCommon,
  }),
  'An MCP server that is reached in several places over HTTP.',
);

/** Every kind of server, in the order that formOf() counts on. */
export const serverSchema = z.union([stdioServer, httpServer, replicatedServer]);

/** Which of serverSchema's kinds a value means to be: what it says decides. */
export function formOf(has: (key: string) => boolean): 0 | 1 | 2 {
  if (has('command')) return 0;
  return has('replicas') && !has('url') ? 2 : 1;
}

/** Every key that one kind of server or the other knows. */
export const SERVER_KEYS: readonly string[] = [
  ...new Set([stdioServer, httpServer, replicatedServer].flatMap(({ shape }) => Object.keys(shape))),
];

/** One server of a validated configuration. */
export type ServerConfig = z.output<typeof serverSchema>;
/** A server that is a process. */
export type StdioServerConfig = z.output<typeof stdioServer>;
/** A server behind a URL, or several. */
export type HttpServerConfig = z.output<typeof httpServer> | z.output<typeof replicatedServer>;
