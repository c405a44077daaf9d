// The options of one MCP server: a process, or a URL.
// Called by schema.ts, check.ts, clients.ts, compile.ts. Promises: as schema.ts.
import * as z from 'zod/mini';
import { LIMITS } from '../base/limits.ts';
import { BREAKER_FAILURES_MAX, BREAKER_MS_MAX, BREAKER_TRIALS_MAX } from '../memory/breaker-cell.ts';
import { choice, DAY, file, flag, list, MINUTE, shaped, text, time, told, whole } from './option.ts';

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

const timeouts = told(
  z.prefault(
    z
      .strictObject({
        connectMs: time(
          10,
          10 * MINUTE,
          LIMITS.connectTimeoutMs,
          'Longest wait for a connection to the server, TLS included.',
        ),
        firstByteMs: time(
          10,
          DAY,
          LIMITS.firstByteTimeoutMs,
          'Longest wait from the request sent to the first byte of the reply.',
        ),
        replyIdleMs: time(
          10,
          DAY,
          LIMITS.replyIdleTimeoutMs,
          'Longest silence inside a reply. Event streams are exempt.',
        ),
        totalMs: time(
          10,
          7 * DAY,
          LIMITS.totalTimeoutMs,
          'Longest time for a whole exchange. Event streams are exempt.',
        ),
      })
      .check(
        z.refine((value) => value.firstByteMs <= value.totalMs, {
          path: ['firstByteMs'],
          error: 'at most totalMs: the first byte is part of the whole',
        }),
      ),
    {},
  ),
  'Deadlines of one exchange with this server.',
);

const breaker = told(
  z.prefault(
    z.strictObject({
      enabled: flag(true, 'False sends every request, however many have failed.'),
      failures: whole(
        'requests',
        { min: 1, max: BREAKER_FAILURES_MAX, value: LIMITS.breakerFailures },
        'Failures within the window that it takes, counted over all workers.',
      ),
      sharePercent: whole(
        'percent',
        { min: 0, max: 100, value: LIMITS.breakerSharePercent },
        'Share of the requests of the window that must have failed.',
      ),
      windowMs: time(
        100,
        BREAKER_MS_MAX,
        LIMITS.breakerWindowMs,
        'Length of the window; it begins with a failure, and what succeeded in as long before it counts as well.',
      ),
      openMs: time(
        1,
        BREAKER_MS_MAX,
        LIMITS.breakerOpenMs,
        'Time during which requests are refused with 503 before one is tried.',
      ),
      trials: whole(
        'requests',
        { min: 1, max: BREAKER_TRIALS_MAX, value: LIMITS.breakerTrials },
        'Requests that may be tried at once; the first that succeeds ends the outage, one that fails prolongs it.',
      ),
    }),
    {},
  ),
  'When the server is left alone because it is down: time-outs, connections that fail or break off, broken framing, 5xx, processes that do not start or that end count as failures; errors that a tool or the protocol reports do not.',
);

const common = {
  era: choice(
    ['auto', 'legacy', 'modern'],
    'auto',
    'Protocol era that the server speaks: `legacy` (2024-11-05 to 2025-11-25, with the initialize handshake), `modern` (2026-07-28, without), `auto` finds out. Clients of the other era are bridged.',
  ),
  timeouts,
  breaker,
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
  disabled: flag(false, 'True leaves the server out, as if it were not written.'),
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

const httpServer = told(
  z.strictObject({
    url: told(
      httpUrl,
      "URL of the server's Streamable HTTP endpoint. Credentials in it are sent as HTTP Basic authentication.",
    ),
    headers: told(
      z._default(z.record(headerName, headerValue), {}),
      'Headers sent with every request to the server.',
    ),
    client: choice(
      ['http1', 'fetch'],
      'http1',
      "`http1` is Sluice's own pooled HTTP/1.1 client, the fast one; `fetch` is for servers that want HTTP/2 or HTTP/3.",
    ),
    tls: clientTls,
    unixPath: z.optional(file('Unix socket to connect to instead of the host and port of the URL.')),
    connectionsMax: whole(
      'connections',
      { min: 1, max: 65_535, value: LIMITS.connectionsMax },
      'Connections held open to the server at once, by all workers together (by each worker with `client: fetch`). Event streams that last are not counted.',
    ),
    ...common,
  }),
  'An MCP server that is reached over Streamable HTTP.',
);

/** Either kind of server; the process comes first (check.ts counts on it). */
export const serverSchema = z.union([stdioServer, httpServer]);

/** Every key that one kind of server or the other knows. */
export const SERVER_KEYS: readonly string[] = [
  ...new Set([...Object.keys(stdioServer.shape), ...Object.keys(httpServer.shape)]),
];

/** One server of a validated configuration. */
export type ServerConfig = z.output<typeof serverSchema>;
/** A server that is a process. */
export type StdioServerConfig = z.output<typeof stdioServer>;
/** A server behind a URL. */
export type HttpServerConfig = z.output<typeof httpServer>;
