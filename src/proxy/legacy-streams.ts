// The GETs of a legacy session at an aggregated endpoint: its own event stream, and streams of calls that are taken up again.
// Called by aggregate-legacy.ts. Promises: an event id leads back to the server that gave it; one stream of the session's own at a time; a client that does not
// read its stream loses it.

import { GatewayError } from '../base/errors.ts';
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
  if (session.stream.isOpen) return exchange.refuse(new GatewayError('GW_SESSION_STREAM'));
  const body = new StreamBody();
  const client: ClientStream = {
    offer: (event) => body.offer(event),
    end: () => exchange.close(null),
    overrun: () => exchange.refuse(overrunError()),
  };
  exchange.whenGone(() => {
    session.stream.close(client);
    session.touch();
  });
  exchange.reply(200, EVENT_STREAM_HEADERS, body);
  // The head leaves with the first bytes.
  body.greet();
  session.stream.open(client, session.legs, resumed);
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
