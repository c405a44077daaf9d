// The door: what is refused by its head alone, before a byte of the body is read.
// Called by http.ts. Promises: cheap, stateless; loopback listeners are guarded against DNS rebinding by Host and Origin; every refusal is
// a row of the error table.
import { GatewayError } from '../base/errors.ts';
import type { ClientHeaders } from '../exchange/client-headers.ts';
import type { EndpointSpec, FrontSpec, Snapshot } from '../snapshot.ts';

/** HTTP methods that an endpoint serves. */
export const METHODS: readonly string[] = Object.freeze(['POST', 'GET', 'DELETE']);

/** Of these; as a literal, because the method may be a piece of the whole head's text and keep it. */
export function verbOf(method: string): 'POST' | 'GET' | 'DELETE' {
  if (method === 'POST') return 'POST';
  return method === 'GET' ? 'GET' : 'DELETE';
}

/** Host name of a Host header (port and brackets handled), lower case; null when it is malformed. */
function hostName(header: string): string | null {
  const match = /^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._~-]+)(?::\d{1,5})?$/.exec(header);
  return match?.[1]?.toLowerCase() ?? null;
}

/** Host name of an Origin, lower case; null when it has none ("null", a scheme without host). */
function originHost(origin: string): string | null {
  const match = /^[a-z][a-z0-9+.-]*:\/\/(.+)$/i.exec(origin);
  return match?.[1] === undefined ? null : hostName(match[1]);
}

/** Checks Host; an absent or repeated one is refused. */
function checkHost(headers: ClientHeaders, front: FrontSpec): GatewayError | null {
  const name = headers.host === null ? null : hostName(headers.host);
  if (name === null) return new GatewayError('GW_SERVER_HOST', 'it is missing, repeated or malformed');
  if (front.allowedHosts === null || front.allowedHosts.includes(name)) return null;
  return new GatewayError(
    'GW_SERVER_HOST',
    `${JSON.stringify(name.slice(0, 120))} is not in listen.allowedHosts`,
  );
}

/** Checks Origin when there is one. Origins on an allowed host are fine whatever their port. */
function checkOrigin(headers: ClientHeaders, front: FrontSpec): GatewayError | null {
  const origin = headers.origin?.toLowerCase() ?? null;
  if (origin === null || front.allowedOrigins === null || front.allowedOrigins.includes(origin)) return null;
  const host = originHost(origin);
  if (host !== null && front.allowedHosts?.includes(host)) return null;
  return new GatewayError(
    'GW_SERVER_ORIGIN',
    `${JSON.stringify(origin.slice(0, 120))} is not in listen.allowedOrigins`,
  );
}

/** Checks number and size of the headers. */
function checkHeaderSize(headers: ClientHeaders, front: FrontSpec): GatewayError | null {
  if (headers.count > front.headerCountMax)
    return new GatewayError('GW_SERVER_HEAD_SIZE', `${headers.count} lines, at most ${front.headerCountMax}`);
  if (headers.bytes > front.headerBytesMax)
    return new GatewayError('GW_SERVER_HEAD_SIZE', `${headers.bytes} bytes, at most ${front.headerBytesMax}`);
  return null;
}

/** Checks of every request's head. The last Host that was let in is remembered: clients send the same one over and over. */
export class Door {
  readonly #front: FrontSpec;
  #goodHost: string | null = null;

  constructor(front: FrontSpec) {
    this.#front = front;
  }

  /** What is wrong with the head, or null. */
  check(headers: ClientHeaders): GatewayError | null {
    const size = checkHeaderSize(headers, this.#front);
    if (size !== null) return size;
    if (headers.host === null || headers.host !== this.#goodHost) {
      const fault = checkHost(headers, this.#front);
      if (fault !== null) return fault;
      this.#goodHost = headers.host;
    }
    return headers.origin === null ? null : checkOrigin(headers, this.#front);
  }
}

/** A snapshot as requests are admitted by it. */
export interface Admits {
  readonly snapshot: Snapshot;
  readonly endpoints: ReadonlyMap<string, EndpointSpec>;
  readonly door: Door;
  /** Headers of clients that some server is to see. */
  readonly optional: ReadonlySet<string>;
}

/** Makes it. */
export function admitsOf(snapshot: Snapshot): Admits {
  return {
    snapshot,
    endpoints: new Map(snapshot.endpoints.map((endpoint) => [endpoint.path, endpoint])),
    door: new Door(snapshot.front),
    optional: new Set(snapshot.servers.flatMap((server) => server.forwardHeaders)),
  };
}

/** Checks what a POST says of its body. */
export function checkBodyHead(headers: ClientHeaders, front: FrontSpec): GatewayError | null {
  if (!isJsonType(headers.contentType))
    return new GatewayError(
      'GW_SERVER_MEDIA',
      `it is ${JSON.stringify((headers.contentType ?? '').slice(0, 120))}`,
    );
  const encoding = headers.contentEncoding;
  if (encoding !== null && encoding !== '' && encoding.toLowerCase() !== 'identity')
    return new GatewayError('GW_SERVER_ENCODING');
  if (headers.contentLength > front.bodyBytesMax) {
    return new GatewayError(
      'GW_SERVER_BODY_SIZE',
      `${headers.contentLength} bytes, at most ${front.bodyBytesMax}`,
    );
  }
  if (headers.accept !== null && !acceptsAny(headers.accept))
    return new GatewayError('GW_SERVER_ACCEPT', 'neither is accepted');
  return null;
}

function isJsonType(type: string | null): boolean {
  if (type === null) return false;
  if (type === 'application/json') return true;
  const semicolon = type.indexOf(';');
  return (semicolon < 0 ? type : type.slice(0, semicolon)).trim().toLowerCase() === 'application/json';
}

function acceptsAny(accept: string): boolean {
  // As the protocol wants it spelled, and as SDKs do.
  if (accept === 'application/json, text/event-stream') return true;
  const lower = accept.toLowerCase();
  return (
    lower.includes('application/json') ||
    lower.includes('text/event-stream') ||
    lower.includes('*/*') ||
    lower.includes('application/*') ||
    lower.includes('text/*')
  );
}

/** Checks that a GET is for an event stream. */
export function checkStreamHead(headers: ClientHeaders): GatewayError | null {
  const accept = headers.accept?.toLowerCase() ?? '';
  if (accept.includes('text/event-stream') || accept.includes('*/*') || accept.includes('text/*'))
    return null;
  return new GatewayError('GW_SERVER_ACCEPT', 'a GET here opens an event stream: accept text/event-stream');
}
