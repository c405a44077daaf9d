// What a scanner is: the one declaration of everything that the native addon and its TypeScript twin both do.
// Called by proxy, server, upstream and mcp through scan.ts; implemented by addon.ts and portable.ts.
// Promises: bytes in, caller-owned Int32Array of numbers out, result codes, no exceptions, nothing kept. Both
// implementations give the same numbers and the same codes for the same bytes (test/contract/scanner).

/**
 * Result codes. Same numbers as native/core/result.h; a test walks both lists. Which one a faulty text gets is decided in this order:
 * `utf8` when any of its bytes breaks UTF-8, wherever that is; else `empty` when it is blank; else whichever of `depth` and
 * `syntax` comes first when the text is read byte by byte: `depth` at the bracket that would open one container too many where
 * a value may stand, `syntax` at the first byte (or at the end) that RFC 8259 does not allow there.
 */
export const SCAN = Object.freeze({
  ok: 0,
  /** No bytes, or white space only. */
  empty: 1,
  /** Not JSON (RFC 8259): anything from a bad escape to trailing garbage or a byte-order mark. Lone surrogate escapes are JSON. */
  syntax: 2,
  /** Not UTF-8 (RFC 3629) somewhere. */
  utf8: 3,
  /** Nested deeper than LIMITS.jsonDepthMax. */
  depth: 4,
});

/**
 * What a message is. `none`: valid JSON that is no JSON-RPC message shape at all (a number, an object with neither method nor result
 * nor error). With several of those (FLAG.mixed) `method` decides first, then `error`.
 */
export const KIND = Object.freeze({ none: 0, request: 1, notification: 2, result: 3, error: 4, batch: 5 });

/** Bits of ENVELOPE.flags. All but emptyBatch and newline speak of messages that are objects; of other values they are never set. */
export const FLAG = Object.freeze({
  /** A known key appears twice at the top level / in params / in _meta / in ref (compared after unescaping). Stays when that object itself comes again. */
  duplicateTop: 1,
  duplicateParams: 2,
  duplicateMeta: 4,
  duplicateRef: 8,
  /** `jsonrpc` is absent or not the string "2.0". */
  notVersion2: 16,
  /** `id` is present but neither a string nor a number without fraction and exponent. */
  badId: 32,
  /** `method` is present but not a string. */
  badMethod: 64,
  /** `params` is present but neither object nor array. */
  badParams: 128,
  /** `params._meta` is present but not an object. */
  badMeta: 256,
  /** A batch that is empty. */
  emptyBatch: 512,
  /** Both `result` and `error`, or `method` together with one of them. */
  mixed: 1024,
  /** Some byte of the message is a raw newline (white space between tokens; raw newlines in strings are syntax errors). */
  newline: 2048,
});

/**
 * Places in the envelope array. Each span is two numbers: start and end offset of the raw value in the bytes handed in
 * (strings include their quotes, white space around is left out); -1, -1 when absent. On duplicates the last one wins, with all that
 * lies in it, and the flag says so.
 * Spans under params are filled only when params is an object; result.* and error.* likewise. For a batch only kind, flags, depth and
 * `batchCount` are filled.
 */
export const ENVELOPE = Object.freeze({
  kind: 0,
  flags: 1,
  /** Deepest nesting; a scalar is 0, {} is 1. */
  depth: 2,
  batchCount: 3,
  jsonrpc: 4,
  id: 6,
  method: 8,
  params: 10,
  result: 12,
  error: 14,
  // params.*
  name: 16,
  uri: 18,
  cursor: 20,
  taskId: 22,
  requestId: 24,
  progressToken: 26, // params.progressToken (of notifications/progress)
  requestState: 28,
  protocolVersion: 30, // params.protocolVersion (of initialize)
  capabilities: 32, // params.capabilities (of initialize)
  ref: 34,
  refName: 36, // params.ref.name
  refUri: 38, // params.ref.uri
  refType: 40, // params.ref.type
  meta: 42, // params._meta
  arguments: 44,
  notifications: 46, // params.notifications (of subscriptions/listen)
  // params._meta.*
  metaProgressToken: 48,
  metaProtocolVersion: 50, // "io.modelcontextprotocol/protocolVersion"
  metaClientCapabilities: 52,
  metaClientInfo: 54,
  metaLogLevel: 56,
  metaSubscriptionId: 58,
  // result.*
  resultType: 60,
  nextCursor: 62,
  resultMeta: 64,
  // error.*
  errorCode: 66,
  inputResponses: 68, // params.inputResponses
  // Where a request goes: four numbers, not spans; all -1 unless RouteScan.scan() filled them.
  /** The upstream, from 0, or a ROUTE. */
  route: 70,
  /** How many bytes at the front of the value (behind its quote) are not part of its own name. */
  routeStrip: 71,
  /** Publication of the route table that said so. */
  routeEpoch: 72,
  /** Place of the value that was looked up: name, uri, taskId, refName or refUri. */
  routePlace: 73,
  length: 74,
});

/** What ENVELOPE.route is when no upstream is found. */
export const ROUTE = Object.freeze({
  /** Nothing was looked up: this is no request, or its method is served by no one server. */
  none: -1,
  /** The value is in no entry of the table, is absent, or is no string. */
  unknown: -2,
  /** The value or the method is spelled with escapes: what it stands for must be looked up. */
  escaped: -3,
});

/** What a routed value is; they bear different marks, and the same text may stand for something else. */
export const ROUTE_KIND = Object.freeze({ name: 0, uri: 1 });

/** Places in the reply-head array (HTTP/1.1 response head, RFC 9112). */
export const HEAD = Object.freeze({
  /** Offset of the first body byte in the bytes handed in, as all offsets here. */
  bodyStart: 0,
  status: 1,
  /** HTTP/1.x minor version: 0 or 1. */
  minor: 2,
  /** Content-Length, or -1. Lengths beyond 2^31-1 are result `large`. */
  contentLength: 3,
  /** 1 when Transfer-Encoding is exactly `chunked`. */
  chunked: 4,
  /** 1 when the connection may be used again as far as the head says (1.1 without close, or 1.0 with keep-alive). */
  keepAlive: 5,
  /** MEDIA of Content-Type; with several such lines, of the last. */
  media: 6,
  headerCount: 7,
  /** Spans of two headers that are needed on every reply. */
  sessionId: 8,
  contentType: 10,
  /** Header lines follow: nameStart, nameEnd, valueStart, valueEnd each, values trimmed of blanks. */
  headers: 12,
});

/** What a Content-Type says. */
export const MEDIA = Object.freeze({ absent: 0, json: 1, eventStream: 2, other: 3 });

/** Result codes of head(). A head is read from left to right, and the first fault decides; a fault never goes away with more bytes. */
export const HEAD_RESULT = Object.freeze({
  ok: 0,
  /** The blank line has not come yet. */
  more: 1,
  /** Not an HTTP/1.x response head, obs-fold, bare CR or LF, NUL, bad name or value. */
  bad: 2,
  /** Content-Length twice (even when equal), a list, not digits, or together with Transfer-Encoding; Transfer-Encoding other than exactly one `chunked`, or in HTTP/1.0. */
  ambiguous: 3,
  /** More header lines than LIMITS.replyHeaderCountMax, head longer than LIMITS.replyHeadBytesMax, or a length beyond 2^31-1. */
  large: 4,
});

/**
 * Places of one event in the sse() output (WHATWG HTML §9.2). All offsets are into the bytes handed in. A blank line ends an event even
 * when nothing came before it. A byte-order mark at the start of a stream is the caller's to skip.
 */
export const EVENT = Object.freeze({
  /** The whole event with its blank line. */
  start: 0,
  end: 1,
  /** Value of the data field when there is exactly one data line; from the first value to the end of the last one when there are more; -1, -1 when none. */
  dataStart: 2,
  dataEnd: 3,
  dataLines: 4,
  /** Value of the last `event` field, or -1. */
  typeStart: 5,
  typeEnd: 6,
  /** Value of the last `id` field without NUL, or -1. */
  idStart: 7,
  idEnd: 8,
  /** Value of the last `retry` field that is digits only, or -1. */
  retryStart: 9,
  retryEnd: 10,
  /** Place 11 is -1: events start at multiples of 48 bytes. */
  length: 12,
});

/** A scanner; all methods are pure but for the arrays handed in. */
/**
 * Ranges outside of the bytes and arrays without room are faults of ours: GW_BASE_INTERNAL is thrown. The bytes must not change during a call (a view
 * of shared memory is fine once its writer has handed it over); nothing of them is kept afterwards.
 */
export interface Scanner {
  readonly name: 'addon' | 'portable';
  /** Kernel in use (simdjson's, or our own for AVX2), or 'typescript'. */
  readonly kernel: string;
  /**
   * Scans bytes[start…end), which must be one JSON text. Fills `envelope` (at least ENVELOPE.length numbers) and returns a SCAN code;
   * when it is not ok, kind, flags, depth and batchCount are 0 and every span is absent. Offsets are absolute in `bytes`.
   */
  scan(bytes: Uint8Array, start: number, end: number, envelope: Int32Array): number;
  /** Parses a response head at bytes[start…end) into `head` (HEAD.headers + 4 × LIMITS.replyHeaderCountMax numbers). Returns a HEAD_RESULT code. */
  head(bytes: Uint8Array, start: number, end: number, head: Int32Array): number;
  /**
   * Splits bytes[start…end) at event boundaries. Writes EVENT.length numbers per complete event (a block that ends with a blank line, comment-only blocks
   * included with dataLines 0) into `events`, at most floor(events.length / EVENT.length). Line ends are LF, CR or CRLF; a CR that is the last byte is
   * held back, unless `last`. Returns the number of events; the caller keeps bytes after the last event's end and calls again when more came.
   */
  sse(bytes: Uint8Array, start: number, end: number, last: boolean, events: Int32Array): number;
  /** Scans that look up as well, in a route table (route/table.ts). The table lives as long as what is returned. */
  withRoutes(table: SharedArrayBuffer): RouteScan;
}

/** A scanner bound to one route table. */
export interface RouteScan {
  /**
   * Scanner.scan() of all the bytes, and, when they are a request that is routed by a name, URI or task id, its look-up among the routes of an
   * endpoint (from 0): fills ENVELOPE.route and what follows it.
   */
  scan(bytes: Uint8Array, envelope: Int32Array, endpoint: number): number;
}
