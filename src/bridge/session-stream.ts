// The event stream of a legacy session: the client's one stream, fed by one stream of every leg.
// Called by session.ts (owns it) and proxy/legacy-streams.ts (gives it the client's stream). Promises: the client's newest stream takes an older one's place, the legs' streams
// go on; a leg's stream that broke off is opened again where it was while the client listens; what comes while nobody listens is kept within bounds; a client that does not
// read loses its stream, not the gateway its memory.
import { decode } from '../base/bytes.ts';
import { GatewayError } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import type { Message } from '../mcp/envelope.ts';
import { fullEvent, joinEventId, type StreamEvent } from '../mcp/sse.ts';
import type { Log } from '../observe/log.ts';
import type { Clock } from '../runtime/runtime.ts';
import type { Scanner } from '../scan/contract.ts';
import { type Leg, listChanges } from './leg.ts';
import { type LegStreamOwner, LegStreamSink, type LegStreamStart, type StreamEnd } from './leg-stream.ts';
import { bareRequest, type MemberCall } from './member.ts';

/** The client's event stream, as a session sees it. */
export interface ClientStream {
  /** Sends an event; false when the client has left too much unread, and the event was not taken. */
  offer(event: Uint8Array): boolean;
  /** Completes it. */
  end(): void;
  /** Breaks it off: the client does not read. */
  overrun(): void;
}

/** The session, as its stream sees it. */
export interface StreamOwner {
  readonly tools: { readonly scanner: Scanner; readonly clock: Clock; readonly log: Log };
  readonly legs: readonly Leg[];
  /** How to speak to a leg. */
  callOf(leg: Leg): MemberCall;
  /** A server's message as the client is to see it, or null. */
  toClient(leg: Leg, message: Message): Uint8Array | null;
}

/** First wait before a leg's stream is opened again; it doubles up to the last while the server cannot be reached. */
const REOPEN_FIRST_MS = 1_000;
const REOPEN_LAST_MS = 30_000;
/** How a stream is opened that goes on from nowhere. */
const FRESH: LegStreamStart = Object.freeze({ lastEventId: null, waitMs: REOPEN_FIRST_MS });

/** A leg's call that opens an event stream, from where it broke off if an id is given. */
export function streamCall(call: MemberCall, lastEventId: string | null): MemberCall {
  // The session's headers accept both media types, as POSTs must; a GET takes events only.
  const rest = call.headers.filter((_, i, all) => all[i - (i % 2)] !== 'accept');
  const headers = [...rest, 'accept', 'text/event-stream'];
  if (lastEventId !== null) headers.push('last-event-id', lastEventId);
  return { ...call, headers };
}

/** The client's stream of one session. */
export class SessionStream implements LegStreamOwner {
  readonly #owner: StreamOwner;
  /** What waits for a client; null when nothing does. */
  #backlog: Uint8Array[] | null = null;
  #backlogBytes = 0;
  /** Lists that have changed since a client listened, as Leg.lists. */
  #changed = 0;
  #client: ClientStream | null = null;
  /** Legs whose stream broke off and is opened again after a wait, and how; null before the first. */
  #breaks: Map<Leg, LegStreamStart> | null = null;

  constructor(owner: StreamOwner) {
    this.#owner = owner;
  }

  get isOpen(): boolean {
    return this.#client !== null;
  }

  /**
   * The client listens: what waited goes out, and every leg's stream is opened, one of them from where it broke off. A stream that is open still is completed: a client that
   * is back may not be known yet to have left.
   */
  open(client: ClientStream, resumed: { readonly leg: Leg; readonly eventId: string } | null): void {
    const older = this.#client;
    this.#client = client;
    older?.end();
    const events = this.#backlog ?? [];
    this.#backlog = null;
    this.#backlogBytes = 0;
    for (const event of events) this.#send(event);
    this.tellChanged(0);
    for (const leg of this.#owner.legs) {
      if (!leg.ready) continue;
      if (resumed?.leg === leg) this.#resume(leg, resumed.eventId);
      else if (this.#breaks?.has(leg) !== true) this.openLeg(leg);
    }
  }

  /** A leg's stream goes on where the client says that it was: what went out since then did not arrive. */
  #resume(leg: Leg, lastEventId: string): void {
    if (leg.stream?.place === lastEventId) return;
    this.closeLeg(leg);
    this.openLeg(leg, { ...FRESH, lastEventId });
  }

  /** That stream of the client is gone. */
  close(client: ClientStream): void {
    if (this.#client !== client) return;
    this.#client = null;
    this.#breaks = null;
    for (const leg of this.#owner.legs) this.closeLeg(leg);
  }

  /** The session ends, and the client's stream with it. */
  end(): void {
    const client = this.#client;
    if (client === null) return;
    this.close(client);
    client.end();
  }

  /** Opens a leg's stream if the client listens and there is none. */
  openLeg(leg: Leg, began = FRESH): void {
    if (this.#client === null || leg.stream !== null) return;
    const sink = new LegStreamSink(this, this.#owner.tools.scanner, leg, began);
    leg.stream = sink;
    this.#breaks?.delete(leg);
    const call = streamCall(this.#owner.callOf(leg), began.lastEventId);
    sink.start(leg.member.upstream.send(bareRequest('GET', call), sink));
  }

  /** Lets go of a leg's stream. */
  closeLeg(leg: Leg): void {
    const sink = leg.stream;
    leg.stream = null;
    this.#breaks?.delete(leg);
    sink?.stop();
  }

  /** The endpoint's own lists of these capabilities (as Leg.lists) have changed: the client hears it, now or once it listens. */
  tellChanged(lists: number): void {
    this.#changed |= lists;
    if (this.#client === null) return;
    const messages = listChanges(this.#changed);
    this.#changed = 0;
    for (const message of messages) this.#send(fullEvent(message, null, null));
  }

  /** A server's message outside of any call; `eventId` is the server's own. */
  push(leg: Leg, message: Message, eventId: Uint8Array | null): void {
    const bytes = this.#owner.toClient(leg, message);
    if (bytes === null) return;
    const id = eventId === null ? null : joinEventId(leg.member.spec.name, 'session', decode(eventId));
    const event = fullEvent(bytes, id, null);
    if (this.#client !== null) this.#send(event);
    else this.#keep(leg, event);
  }

  #send(event: Uint8Array): void {
    const client = this.#client;
    if (client === null || client.offer(event)) return;
    this.close(client);
    client.overrun();
  }

  #keep(leg: Leg, event: Uint8Array): void {
    const backlog = this.#backlog ?? [];
    this.#backlog = backlog;
    const isFull =
      backlog.length >= LIMITS.sessionBacklogMax ||
      this.#backlogBytes + event.length > LIMITS.downstreamBufferBytesMax;
    if (isFull)
      return this.#owner.tools.log.warn(
        'a message was dropped: the client opened no stream and its backlog is full',
        {
          server: leg.member.spec.name,
        },
      );
    backlog.push(event);
    this.#backlogBytes += event.length;
  }

  onLegMessage(leg: Leg, message: Message, event: StreamEvent): void {
    this.push(leg, message, event.id);
  }

  onLegOver(sink: LegStreamSink, end: StreamEnd): void {
    const { leg, began } = sink;
    if (leg.stream !== sink) return;
    leg.stream = null;
    // 405, a lost session or a fault of ours: trying again would bring the same.
    if (!end.wasOpen && !end.isEarly && end.error?.row.source !== 'upstream') return;
    const waitMs = end.wasOpen ? (end.retryMs ?? REOPEN_FIRST_MS) : began.waitMs;
    const again = { lastEventId: end.place, waitMs: end.wasOpen ? REOPEN_FIRST_MS : waitMs * 2 };
    this.#breaks ??= new Map();
    this.#breaks.set(leg, again);
    this.#owner.tools.clock.after(Math.min(waitMs, REOPEN_LAST_MS), () => {
      if (this.#breaks?.get(leg) !== again) return;
      this.#breaks.delete(leg);
      if (leg.ready) this.openLeg(leg, again);
    });
  }
}

/** The client's stream broke because it was not read. */
export function overrunError(): GatewayError {
  return new GatewayError(
    'GW_UPSTREAM_OVERRUN',
    `more than ${LIMITS.downstreamBufferBytesMax} bytes wait: read the stream faster`,
  );
}
