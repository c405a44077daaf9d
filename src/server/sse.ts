// The front over HTTP+SSE (2024-11-05), for clients that know nothing newer: a GET opens an event stream, POSTs beside it bring the client's messages.
// Called by http.ts. Promises: the id that a client posts under is sealed, bound to its principal and endpoint, and leads to the worker that has its stream;
// connections are bounded like sessions. Source: MCP 2024-11-05, transports.
import { encode } from '../base/bytes.ts';
import { GatewayError } from '../base/errors.ts';
import type { Handles } from '../bridge/handles.ts';
import type { Exchange } from '../exchange.ts';
import type { LiveSession } from '../observe/ledger.ts';
import type { EndpointSpec, Snapshot } from '../snapshot.ts';
import type { Recorder } from './record.ts';
import { type ConnectionParts, SseConnection } from './sse-connection.ts';
import { messagePath, SsePlace, ssePlaceOf } from './sse-place.ts';

/** What the front over HTTP+SSE needs. */
export interface SseFrontOptions extends Omit<ConnectionParts, 'endpoint'> {
  readonly snapshot: Snapshot;
  readonly handles: Handles;
  readonly recorder?: Recorder;
}

/** Name of the query's one parameter, as every client of this transport was ever told it. */
const ID_KEY = 'sessionId=';
const QUERY_PAIRS_MAX = 16;
const ACCEPTED = encode('Accepted');
const TEXT = Object.freeze({ 'content-type': 'text/plain; charset=utf-8' });

/** Serves the clients of one worker on HTTP+SSE. */
export class SseFront {
  readonly #options: SseFrontOptions;
  #snapshot: Snapshot;
  /** Made when a client comes: few of what may be thousands of endpoints have one. */
  readonly #places = new Map<string, SsePlace>();
  readonly #connections = new Map<string, SseConnection>();

  constructor(options: SseFrontOptions) {
    this.#options = options;
    this.#snapshot = options.snapshot;
    this.use(options.snapshot);
  }

  /** Clients that come from now on are served by this snapshot. */
  use(snapshot: Snapshot): void {
    this.#snapshot = snapshot;
    this.#places.clear();
  }

  /** What a path is for; null when it is none of HTTP+SSE. `endpoints`: those of the snapshot, by their own paths. */
  at(path: string, endpoints: ReadonlyMap<string, EndpointSpec>): SsePlace | null {
    const known = this.#places.get(path);
    if (known !== undefined) return known;
    const found = ssePlaceOf(path);
    const endpoint = found === null ? undefined : endpoints.get(found.endpointPath);
    if (found === null || endpoint === undefined) return null;
    const place = new SsePlace(endpoint, found.role);
    // Of the messages, the exchanges that they become are recorded.
    if (place.role === 'stream') this.#options.recorder?.countAs(place, endpoint);
    this.#places.set(path, place);
    return place;
  }

  /** Learns from a message's query which connection it is of. */
  admit(exchange: Exchange, place: SsePlace, query: string): void {
    // Its headers say nothing of sessions and versions: its connection does.
    exchange.headers.session = null;
    exchange.headers.protocolVersion = null;
    if (place.role === 'stream') return;
    const pair = query.split('&', QUERY_PAIRS_MAX).find((one) => one.startsWith(ID_KEY));
    if (pair !== undefined) this.#options.handles.admitMessage(exchange, pair.slice(ID_KEY.length));
  }

  /** Serves an exchange at one of its paths. */
  serve(exchange: Exchange, place: SsePlace, body: Uint8Array): void {
    if (place.role === 'stream') this.#open(exchange, place);
    else this.#take(exchange, body);
  }

  #open(exchange: Exchange, { of, path }: SsePlace): void {
    const { handles, newId } = this.#options;
    const snapshot = this.#snapshot;
    const { sessionsMax } = snapshot.front;
    if (this.#connections.size >= sessionsMax)
      return exchange.refuse(new GatewayError('GW_SESSION_LIMIT', `${sessionsMax} connections are open`));
    const connection = new SseConnection(newId(), exchange, { ...this.#options, snapshot, endpoint: of });
    const where = messagePath(path);
    const { principal } = exchange;
    const shown = handles.connection({ endpoint: where, principal }, connection.id);
    this.#connections.set(connection.id, connection);
    connection.open(`${where}?${ID_KEY}${shown}`, () => this.#connections.delete(connection.id));
  }

  #take(exchange: Exchange, body: Uint8Array): void {
    const connection = exchange.session === null ? undefined : this.#connections.get(exchange.session);
    if (connection === undefined)
      return exchange.refuse(new GatewayError('GW_SESSION_UNKNOWN', 'its event stream is not open'));
    const fault = connection.take(body, exchange.headers);
    if (fault !== null) exchange.refuse(fault);
    else exchange.reply(202, TEXT, ACCEPTED);
  }

  /** Every connection, for somebody who looks. */
  live(): LiveSession[] {
    const { servers } = this.#snapshot;
    return [...this.#connections.values()].map((connection) => ({
      ...{ self: connection, kind: 'sse', endpoint: connection.endpoint.path },
      servers: connection.endpoint.members.flatMap((at) => servers[at]?.name ?? []),
      startedAtMs: connection.startedAtMs,
      lastUsedAtMs: null,
      running: connection.underWay,
      end: () => connection.end(),
    }));
  }

  /** The gateway is shutting down, or these endpoints are: streams end once what runs is answered. */
  drain(paths: ReadonlySet<string> | null = null): void {
    for (const connection of [...this.#connections.values()])
      if (paths === null || paths.has(connection.endpoint.path)) connection.drain();
  }
}
