// The GETs of a legacy session at an aggregated endpoint: its own event stream, and streams of calls that are taken up again.
// Called by aggregate-legacy.ts. Promises: an event id leads back to the server that gave it; one stream of the session's own at a time, the newest; a client
// that does not read its stream loses it.

import type { Leg } from '../bridge/leg.ts';
import { bareRequest } from '../bridge/member.ts';
import type { Session, SessionTools } from '../bridge/session.ts';
import { type ClientStream, overrunError, streamCall } from '../bridge/session-stream.ts';
import type { Exchange } from '../exchange.ts';
import { splitEventId } from '../mcp/sse.ts';
import { EVENT_STREAM_HEADERS } from './headers.ts';
import { MemberRelay } from './member-relay.ts';
import { StreamBody } from './relay.ts';

/** Answers a GET of a session. */
export function openStream(exchange: Exchange, session: Session, tools: SessionTools): void {
  const { lastEventId } = exchange.headers;
  const from = lastEventId === null ? null : splitEventId(lastEventId);
  const leg = from === null ? null : session.legOf(from.server);
  if (from === null || leg === null) return openOwn(exchange, session, null);
  if (from.kind === 'call') return takeUp({ exchange, session, leg, lastEventId: from.id }, tools);
  openOwn(exchange, session, { leg, eventId: from.id });
}

function openOwn(
  exchange: Exchange,
  session: Session,
  resumed: { readonly leg: Leg; readonly eventId: string } | null,
): void {
  // A client that has left already takes nobody's place.
  if (exchange.over) return;
  const client = new OwnStream(exchange, session);
  exchange.whenGone(client.gone);
  exchange.reply(200, EVENT_STREAM_HEADERS, client.body);
  // The head leaves with the first bytes.
  client.body.greet();
  session.stream.open(client, resumed);
}

/** The client's end of its session's stream. */
class OwnStream implements ClientStream {
  readonly body = new StreamBody();
  readonly #exchange: Exchange;
  readonly #session: Session;

  constructor(exchange: Exchange, session: Session) {
    this.#exchange = exchange;
    this.#session = session;
  }

  offer(event: Uint8Array): boolean {
    return this.body.offer(event);
  }

  end(): void {
    this.#exchange.close(null);
  }

  overrun(): void {
    this.#exchange.refuse(overrunError());
  }

  readonly gone = (): void => {
    this.#session.stream.close(this);
    this.#session.touch();
  };
}

/** The stream of a call broke off, or its server closed it on purpose: the client takes it up where it was. */
function takeUp(
  at: { exchange: Exchange; session: Session; leg: Leg; lastEventId: string },
  tools: SessionTools,
): void {
  const { exchange, session, leg } = at;
  const relay = new MemberRelay({
    exchange,
    scanner: tools.scanner,
    server: leg.member.spec.name,
    toClient: (message) => session.toClient(leg, message),
    methodOf: (response) => session.running.answered(response),
    onOver: () => session.touch(),
    onLost: null,
  });
  const call = streamCall(session.legCall(leg, exchange.id), at.lastEventId);
  exchange.hold(leg.member.upstream.send(bareRequest('GET', call), relay));
}
