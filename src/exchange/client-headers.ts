// What a client's headers say that a gateway looks at, in one record.
// Called by server/ (fills it) and by whoever works on an exchange. Promises: one shape for every request, so that reading it stays fast.

/** The client's headers, read in one pass. */
export interface ClientHeaders {
  host: string | null;
  origin: string | null;
  contentType: string | null;
  contentEncoding: string | null;
  contentLength: number;
  accept: string | null;
  protocolVersion: string | null;
  mcpMethod: string | null;
  mcpName: string | null;
  /** As the client shows it: a sealed handle. What it means is the exchange's `session`. */
  session: string | null;
  lastEventId: string | null;
  /** Headers that go to whichever server is chosen: name, value, … (Mcp-Param-*, trace context). */
  readonly passed: string[];
  /** Other headers that some server's configuration asks for: name, value, …; filtered per server. */
  readonly optional: string[];
  count: number;
  bytes: number;
}

/** A record without any header. */
export function emptyHeaders(): ClientHeaders {
  return {
    host: null,
    origin: null,
    contentType: null,
    contentEncoding: null,
    contentLength: -1,
    accept: null,
    protocolVersion: null,
    mcpMethod: null,
    mcpName: null,
    session: null,
    lastEventId: null,
    passed: [],
    optional: [],
    count: 0,
    bytes: 0,
  };
}

/** What stands for headers that are no longer needed. */
export const NO_CLIENT_HEADERS: ClientHeaders = Object.freeze(emptyHeaders());
