// The one table of everything that can go wrong, and the one class that carries a row of it.
// Called by every room. Promises: each code maps to exactly one HTTP status, one JSON-RPC code, one guilty
// party and one retry verdict; docs/errors.md is generated from this table and a test keeps them equal.

/** Whose fault it is: the caller's, ours, or the MCP server's. */
export type ErrorSource = 'client' | 'gateway' | 'upstream';

/**
 * May the same request be sent again?
 * `never`: it was refused or may have been executed. `fresh-connection`: nothing of it can have been executed,
 * a new connection may succeed at once. `safe`: nothing was executed, trying later is fine.
 */
export type ErrorRetry = 'never' | 'fresh-connection' | 'safe';

/** One row of the table. `http` is a status, `jsonrpc` a JSON-RPC error code. */
export interface ErrorRow {
  readonly http: number;
  readonly jsonrpc: number;
  readonly source: ErrorSource;
  readonly retry: ErrorRetry;
  readonly message: string;
}

function row(
  http: number,
  jsonrpc: number,
  source: ErrorSource,
  retry: ErrorRetry,
  message: string,
): ErrorRow {
  return Object.freeze({ http, jsonrpc, source, retry, message });
}

/** JSON-RPC and MCP codes by name (JSON-RPC 2.0 §5.1; MCP 2026-07-28 for -32020…-32022, the older revisions for the rest). */
export const RPC = Object.freeze({
  parse: -32700,
  invalidRequest: -32600,
  methodNotFound: -32601,
  invalidParams: -32602,
  internal: -32603,
  serverError: -32000,
  sessionUnknown: -32001,
  /** Legacy only: a resource is missing. */
  resourceMissing: -32002,
  headerMismatch: -32020,
  missingCapability: -32021,
  unsupportedVersion: -32022,
  /** 2025-11-25 only: the user must visit a page first. */
  urlElicitation: -32042,
});

/** code → row. Keep the groups in the order of an exchange's life; docs/errors.md follows it. */
export const ERRORS = Object.freeze({
  // base: faults of our own code
  GW_BASE_INTERNAL: row(
    500,
    -32603,
    'gateway',
    'never',
    'Cannot finish the exchange: the gateway met a fault of its own',
  ),

  // config: refused before anything is served
  GW_CONFIG_READ: row(500, -32603, 'client', 'never', 'Cannot read the configuration'),
  GW_CONFIG_SYNTAX: row(500, -32603, 'client', 'never', 'Cannot parse the configuration'),
  GW_CONFIG_VALUE: row(500, -32603, 'client', 'never', 'Cannot accept a value of the configuration'),
  GW_CONFIG_KEY: row(500, -32603, 'client', 'never', 'Cannot accept an unknown key of the configuration'),
  GW_CONFIG_ENV: row(
    500,
    -32603,
    'client',
    'never',
    'Cannot resolve an environment reference of the configuration',
  ),
  GW_CONFIG_ROOM: row(
    500,
    -32603,
    'client',
    'never',
    'Cannot take up the configuration while running: restart the gateway',
  ),

  // registry: a change of servers that is not made
  GW_REGISTRY_UNKNOWN: row(404, -32602, 'client', 'never', 'Cannot find the server in the registry'),
  GW_REGISTRY_EXISTS: row(409, -32602, 'client', 'never', 'Cannot add the server: there is one of this name'),
  GW_REGISTRY_FILE: row(
    409,
    -32602,
    'client',
    'never',
    'Cannot change a server of the configuration file here: edit the file',
  ),
  GW_REGISTRY_VERSION: row(412, -32602, 'client', 'never', 'Cannot change the server: it is not as expected'),
  GW_REGISTRY_VALUE: row(422, -32602, 'client', 'never', 'Cannot accept the change: it could not be served'),
  GW_REGISTRY_CLOSED: row(
    503,
    -32603,
    'gateway',
    'safe',
    'Cannot keep the change: the registry cannot be written to',
  ),
  GW_REGISTRY_BUSY: row(503, -32603, 'gateway', 'safe', 'Cannot keep the change now: the registry is busy'),
  GW_REGISTRY_FULL: row(507, -32603, 'gateway', 'safe', 'Cannot keep the change: the disk is full'),

  // runtime: the world refused
  GW_RUNTIME_LISTEN: row(500, -32603, 'gateway', 'never', 'Cannot listen on the address'),
  GW_RUNTIME_WORKER: row(500, -32603, 'gateway', 'never', 'Cannot keep the data worker running'),

  // server: admission
  GW_SERVER_PATH: row(404, -32600, 'client', 'never', 'Cannot serve this path'),
  GW_SERVER_METHOD: row(405, -32600, 'client', 'never', 'Cannot serve this HTTP method here'),
  GW_SERVER_HOST: row(403, -32600, 'client', 'never', 'Cannot accept this Host header'),
  GW_SERVER_ORIGIN: row(403, -32600, 'client', 'never', 'Cannot accept this Origin header'),
  GW_SERVER_MEDIA: row(
    415,
    -32600,
    'client',
    'never',
    'Cannot read this Content-Type: send application/json',
  ),
  GW_SERVER_ENCODING: row(
    415,
    -32600,
    'client',
    'never',
    'Cannot read a compressed body: send it without Content-Encoding',
  ),
  GW_SERVER_ACCEPT: row(
    406,
    -32600,
    'client',
    'never',
    'Cannot answer in an accepted media type: accept application/json and text/event-stream',
  ),
  GW_SERVER_BODY_SIZE: row(
    413,
    -32600,
    'client',
    'never',
    'Cannot accept the body: it is larger than the limit',
  ),
  GW_SERVER_HEAD_SIZE: row(
    431,
    -32600,
    'client',
    'never',
    'Cannot accept the headers: they are more or larger than the limit',
  ),
  GW_SERVER_BODY_ABORTED: row(
    400,
    -32600,
    'client',
    'never',
    'Cannot read the body: the connection ended before it was whole',
  ),
  GW_SERVER_BUSY: row(
    503,
    -32603,
    'gateway',
    'safe',
    'Cannot take another exchange now: the limit of concurrent exchanges is reached',
  ),
  GW_SERVER_OVERLOAD: row(
    503,
    -32603,
    'gateway',
    'safe',
    'Cannot take another exchange now: the worker is behind with those that it has',
  ),
  GW_SERVER_DRAINING: row(
    503,
    -32603,
    'gateway',
    'safe',
    'Cannot take a new exchange: the gateway is shutting down',
  ),
  GW_SERVER_STOPPED: row(
    500,
    -32603,
    'gateway',
    'never',
    'Cannot finish the exchange: the gateway stopped before the reply was complete',
  ),

  // scan: the bytes are no message
  GW_SCAN_SYNTAX: row(400, -32700, 'client', 'never', 'Cannot parse the body: it is not JSON'),
  GW_SCAN_UTF8: row(400, -32700, 'client', 'never', 'Cannot parse the body: it is not UTF-8'),
  GW_SCAN_EMPTY: row(400, -32700, 'client', 'never', 'Cannot parse the body: it is empty'),
  GW_SCAN_DEPTH: row(
    400,
    -32600,
    'client',
    'never',
    'Cannot accept the body: it is nested deeper than the limit',
  ),
  GW_SCAN_DUPLICATE: row(
    400,
    -32600,
    'client',
    'never',
    'Cannot accept the message: a key that decides about it appears twice',
  ),
  GW_SCAN_ADDON: row(500, -32603, 'gateway', 'never', 'Cannot load the native scanner'),

  // mcp: the message breaks the protocol
  GW_MCP_MESSAGE: row(
    400,
    -32600,
    'client',
    'never',
    'Cannot accept the message: it is not a JSON-RPC 2.0 message',
  ),
  GW_MCP_BATCH: row(400, -32600, 'client', 'never', 'Cannot accept this batch'),
  GW_MCP_META: row(
    400,
    -32602,
    'client',
    'never',
    'Cannot accept the request: params._meta lacks or misstates a required key',
  ),
  GW_MCP_HEADER: row(
    400,
    -32020,
    'client',
    'never',
    'Cannot accept the request: a mirrored header is missing, malformed or differs from the body',
  ),
  GW_MCP_VERSION: row(400, -32022, 'client', 'never', 'Cannot speak this protocol version'),
  GW_MCP_METHOD: row(404, -32601, 'client', 'never', 'Cannot find this method'),
  GW_MCP_PARAMS: row(200, -32602, 'client', 'never', 'Cannot accept the parameters'),
  GW_MCP_LINE: row(
    400,
    -32600,
    'client',
    'never',
    'Cannot send the message to a stdio server: it holds a raw newline inside a string',
  ),

  // session: legacy sessions
  GW_SESSION_MISSING: row(
    400,
    -32000,
    'client',
    'never',
    'Cannot serve the request without a session: send initialize first and then its Mcp-Session-Id',
  ),
  GW_SESSION_UNKNOWN: row(
    404,
    -32001,
    'client',
    'never',
    'Cannot find this session: it ended or never was; send initialize again',
  ),
  GW_SESSION_ENDED: row(
    404,
    -32001,
    'client',
    'never',
    'Cannot finish the exchange: its session was ended while it ran',
  ),
  GW_SESSION_LIMIT: row(
    503,
    -32603,
    'gateway',
    'safe',
    'Cannot open another session now: the limit is reached',
  ),

  // bridge: what one era knows and the other does not
  GW_BRIDGE_INPUT: row(
    200,
    -32603,
    'client',
    'never',
    'Cannot finish the call: the MCP server asks for input that cannot be had',
  ),

  // bridge: calls that wait for a client of the other era
  GW_BRIDGE_STATE: row(
    200,
    -32602,
    'client',
    'never',
    'Cannot go on with this requestState: it is none of this request, was used before or has expired',
  ),
  GW_BRIDGE_CAPABILITY: row(
    400,
    -32021,
    'client',
    'never',
    'Cannot finish the call: the MCP server asks for what the client does not declare',
  ),
  GW_BRIDGE_PARKED: row(
    500,
    -32603,
    'gateway',
    'never',
    'Cannot ask the client now: too many calls wait for their clients',
  ),

  // route: no such target
  GW_ROUTE_TOOL: row(200, -32602, 'client', 'never', 'Cannot find this tool'),
  GW_ROUTE_PROMPT: row(200, -32602, 'client', 'never', 'Cannot find this prompt'),
  GW_ROUTE_RESOURCE: row(200, -32602, 'client', 'never', 'Cannot find this resource'),
  GW_ROUTE_TASK: row(200, -32602, 'client', 'never', 'Cannot find this task'),

  // policy: what the configuration allows
  GW_POLICY_BUSY: row(
    503,
    -32603,
    'gateway',
    'safe',
    'Cannot send another request to the MCP server now: as many as are allowed are under way',
  ),

  // peer: another data worker of this gateway
  GW_PEER_DOWN: row(
    503,
    -32603,
    'gateway',
    'safe',
    'Cannot reach the data worker that serves this: it is being started anew',
  ),
  GW_PEER_LOST: row(
    502,
    -32603,
    'gateway',
    'never',
    'Cannot get the reply: the data worker that served this has died',
  ),

  // upstream: the MCP server or the way to it failed
  GW_UPSTREAM_CONNECT: row(502, -32603, 'upstream', 'fresh-connection', 'Cannot connect to the MCP server'),
  GW_UPSTREAM_TLS: row(502, -32603, 'upstream', 'never', 'Cannot agree on TLS with the MCP server'),
  GW_UPSTREAM_SEND: row(
    502,
    -32603,
    'upstream',
    'fresh-connection',
    'Cannot send the request: the MCP server closed the connection before any of it was sent',
  ),
  GW_UPSTREAM_CLOSED: row(
    502,
    -32603,
    'upstream',
    'never',
    'Cannot get the reply: the MCP server closed the connection',
  ),
  GW_UPSTREAM_TIMEOUT: row(
    504,
    -32603,
    'upstream',
    'never',
    'Cannot get the reply in time from the MCP server',
  ),
  GW_UPSTREAM_IDLE: row(
    504,
    -32603,
    'upstream',
    'never',
    'Cannot get the rest of the reply: the MCP server went silent',
  ),
  GW_UPSTREAM_FRAMING: row(
    502,
    -32603,
    'upstream',
    'never',
    'Cannot trust the reply: its HTTP framing is broken or ambiguous',
  ),
  GW_UPSTREAM_HEAD_SIZE: row(
    502,
    -32603,
    'upstream',
    'never',
    'Cannot accept the reply: its head is larger than the limit',
  ),
  GW_UPSTREAM_BODY_SIZE: row(
    502,
    -32603,
    'upstream',
    'never',
    'Cannot accept the reply: it is larger than the limit',
  ),
  GW_UPSTREAM_MEDIA: row(
    502,
    -32603,
    'upstream',
    'never',
    'Cannot use the reply: it is neither JSON nor an event stream',
  ),
  GW_UPSTREAM_MESSAGE: row(
    502,
    -32603,
    'upstream',
    'never',
    'Cannot use the reply: it is not a JSON-RPC message',
  ),
  GW_UPSTREAM_BUSY: row(
    503,
    -32603,
    'upstream',
    'safe',
    'Cannot reach the MCP server now: all its connections are taken and the queue is full',
  ),
  GW_UPSTREAM_STREAM: row(
    502,
    -32603,
    'upstream',
    'safe',
    'Cannot open a session of the HTTP+SSE transport at the MCP server',
  ),
  GW_UPSTREAM_SPAWN: row(502, -32603, 'upstream', 'safe', 'Cannot start the MCP server process'),
  GW_UPSTREAM_EXITED: row(
    502,
    -32603,
    'upstream',
    'never',
    'Cannot get the reply: the MCP server process ended',
  ),
  GW_UPSTREAM_BACKOFF: row(
    503,
    -32603,
    'upstream',
    'safe',
    'Cannot start the MCP server process now: it failed repeatedly and is waiting to be tried again',
  ),
  GW_UPSTREAM_OPEN: row(
    503,
    -32603,
    'gateway',
    'safe',
    'Cannot use the MCP server now: its breaker is open, since most of its last replies failed or an operator opened it',
  ),
  GW_UPSTREAM_CLOSING: row(
    503,
    -32603,
    'gateway',
    'safe',
    'Cannot use the MCP server: the gateway is letting go of it',
  ),
  GW_UPSTREAM_OVERRUN: row(
    500,
    -32603,
    'gateway',
    'never',
    'Cannot keep more of the event stream for a client that does not read it',
  ),

  // admin: requests to the admin listener, answered as problem details
  GW_ADMIN_STARTING: row(503, -32603, 'gateway', 'safe', 'Cannot answer yet: the gateway is starting'),
  GW_ADMIN_SITE: row(403, -32600, 'client', 'never', 'Cannot accept a request that another web site makes'),
  GW_ADMIN_TOKEN: row(401, -32600, 'client', 'never', 'Cannot let this request in: send the admin token'),
  GW_ADMIN_TRIES: row(429, -32600, 'client', 'never', 'Cannot check another token now: too many were wrong'),
  GW_ADMIN_REQUEST: row(400, -32600, 'client', 'never', 'Cannot accept the request'),
  GW_ADMIN_UNKNOWN: row(404, -32600, 'client', 'never', 'Cannot find what the request names'),
  GW_ADMIN_RELOAD: row(
    422,
    -32600,
    'client',
    'never',
    'Cannot take up the configuration: nothing has changed',
  ),
  GW_ADMIN_BUSY: row(503, -32603, 'gateway', 'safe', 'Cannot serve another event stream now'),
});

/** A code of the table. */
export type ErrorCode = keyof typeof ERRORS;

/**
 * The only thing thrown (or handed over as a failure) on purpose. `detail` says what the current value is and what
 * to do; it may reach the client, so it never holds a secret.
 */
export class GatewayError extends Error {
  override readonly name = 'GatewayError';
  readonly code: ErrorCode;
  readonly detail: string;

  constructor(code: ErrorCode, detail = '', cause?: unknown) {
    super(
      detail === '' ? ERRORS[code].message : `${ERRORS[code].message}: ${detail}`,
      cause === undefined ? {} : { cause },
    );
    this.code = code;
    this.detail = detail;
  }

  /** The row that decides status, JSON-RPC code, guilt and retry. */
  get row(): ErrorRow {
    return ERRORS[this.code];
  }
}

/** Wraps anything that was thrown; a GatewayError passes unchanged. The cause is kept for the log, not for clients. */
export function toGatewayError(thrown: unknown): GatewayError {
  return thrown instanceof GatewayError ? thrown : new GatewayError('GW_BASE_INTERNAL', '', thrown);
}
