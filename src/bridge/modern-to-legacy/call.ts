// One call of a modern client at a legacy server, from its request to its response, however many rounds of questions lie between.
// Called by face.ts. Promises: the client gets one response a round, in its own words (id, progress token, levels); while it is away the call waits, within
// the bounds of parking; the server hears of a client that leaves.
import { must } from '../../base/assert.ts';
import { EMPTY } from '../../base/bytes.ts';
import { GatewayError, toGatewayError } from '../../base/errors.ts';
import { type Message, raw, text } from '../../mcp/envelope.ts';
import { resultMessage } from '../../mcp/errors.ts';
import { LOG_LEVELS, METHOD } from '../../mcp/protocol.ts';
import type { Caching } from '../../mcp/to-modern.ts';
import type { TimerId } from '../../runtime/runtime.ts';
import { ENVELOPE } from '../../scan/contract.ts';
import { tookTooLong } from '../../upstream/deadline.ts';
import type { UpstreamRequest } from '../../upstream/upstream.ts';
import type { Parkable, Parking } from './park.ts';
import { Passage, type PassageOwner, type PassageTools } from './passage.ts';
import { Questions } from './questions.ts';
import { type ModernReply, type Refusal, type ReplyOwner, refusalOf } from './reply.ts';
import { askUrls, inputRequired, lackOf, respond } from './response.ts';
import { type Requested, requestedOf, type StateSealer, sealParked } from './state.ts';
import { NAMELESS } from './talk.ts';
import { clientNotification } from './translate.ts';

/** What calls need of their surroundings. */
export interface CallTools extends PassageTools {
  /** The server's name. */
  readonly server: string;
  /** Bound of the whole call while its client waits, in ms. */
  readonly totalTimeoutMs: number;
  /** For how long the server's results hold, and for whom: it does not say. */
  readonly caching: Caching;
  readonly parking: Parking<LegacyCall>;
  readonly sealer: StateSealer;
}

/** Wait for a second question before the first goes out: people do not answer faster than that. */
const GATHER_MS = 10;

/** One call. */
export class LegacyCall implements Parkable, PassageOwner, ReplyOwner {
  readonly server: string;
  readonly method: string;
  request: UpstreamRequest;
  level = -1;
  readonly #tools: CallTools;
  readonly #passage: Passage;
  readonly #questions = new Questions();
  /** To the client; null while it is away, and at the end. */
  #reply: ModernReply | null = null;
  /** Read once it is to wait. */
  #requested: Requested | null = null;
  /** What came while the client was away. */
  #outcome: Message | Refusal | null = null;
  #isGathering = false;
  #deadline: TimerId = 0;

  constructor(tools: CallTools, method: string, request: UpstreamRequest, reply: ModernReply) {
    this.#tools = tools;
    this.server = tools.server;
    this.method = method;
    this.request = request;
    this.#passage = new Passage(tools, this);
    this.#attach(request, reply);
  }

  get isBehind(): boolean {
    return this.#reply?.isBehind === true;
  }

  get face(): object {
    return this.#tools;
  }

  get requested(): Requested {
    return must(this.#requested, 'what a call that waits was asked for');
  }

  get endpoint(): string {
    return this.request.client.endpoint;
  }

  get asked(): readonly string[] {
    return this.#questions.methods;
  }

  start(): void {
    this.#passage.start();
  }

  // ── the client ───────────────────────────────────────────────────────────────────────────────────────────────────

  #attach(request: UpstreamRequest, reply: ModernReply): void {
    this.request = request;
    this.#reply = reply;
    reply.ownedBy(this);
    const { body, envelope } = request;
    this.level =
      envelope === null ? -1 : LOG_LEVELS.indexOf(text(body, envelope, ENVELOPE.metaLogLevel) ?? '');
  }

  /** The reply that the client waits for; from now on it is somebody else's. */
  #detach(): ModernReply | null {
    const reply = this.#reply;
    this.#reply = null;
    this.#unbound();
    reply?.ownedBy(null);
    return reply;
  }

  /** A call that outlasted its server's time-outs ends all the same, if its client waits for it. */
  #bound(): void {
    if (this.#deadline !== 0 || this.#reply === null) return;
    const { clock, totalTimeoutMs } = this.#tools;
    const late = new GatewayError('GW_UPSTREAM_TIMEOUT', tookTooLong(totalTimeoutMs));
    this.#deadline = clock.after(totalTimeoutMs, () => this.#giveUp(late));
  }

  #unbound(): void {
    this.#tools.clock.cancel(this.#deadline);
    this.#deadline = 0;
  }

  /** The client is back with its answers, or without. */
  goOn(request: UpstreamRequest, reply: ModernReply): void {
    this.#attach(request, reply);
    const { body, envelope } = request;
    const outcome = this.#outcome;
    if (outcome !== null) return this.#tell(outcome);
    const answers = envelope === null ? [] : this.#questions.answers(body, envelope);
    for (const answer of answers) void this.#passage.answer(answer);
    if (this.#questions.size > 0) this.#ask();
    else this.#passage.resume();
    this.#bound();
  }

  onResumed(): void {
    this.#bound();
  }

  onRoom(): void {
    this.#passage.resume();
  }

  onLeft(): void {
    this.#reply = null;
    this.#unbound();
    this.expire();
  }

  expire(): void {
    this.#questions.clear();
    this.#passage.cancel();
  }

  /** Raw id of the client's request. */
  get #id(): Uint8Array | null {
    const { body, envelope } = this.request;
    return envelope === null ? null : raw(body, envelope, ENVELOPE.id);
  }

  // ── the server ───────────────────────────────────────────────────────────────────────────────────────────────────

  onNotification(message: Message): boolean {
    if (text(message.bytes, message.envelope, ENVELOPE.method) === METHOD.cancelled)
      this.#questions.withdraw(message);
    const reply = this.#reply;
    if (reply === null) return true;
    const { request, level } = this;
    const shown = clientNotification(message, { request, level: this.#passage.isHeardAlone ? level : -1 });
    return shown === null || reply.event(shown);
  }

  onQuestion(message: Message): string | null {
    const capabilities = this.#passage.session?.owner.capabilities ?? {};
    const why = this.#questions.take(message, capabilities);
    if (why !== null || this.#isGathering) return why;
    // What the server asks in one breath goes out together.
    this.#isGathering = true;
    this.#tools.clock.after(GATHER_MS, () => {
      this.#isGathering = false;
      try {
        const { body, envelope } = this.request;
        if (envelope !== null)
          for (const answer of this.#questions.foretold(body, envelope)) void this.#passage.answer(answer);
        if (this.#questions.size > 0) this.#ask();
      } catch (thrown) {
        this.#giveUp(toGatewayError(thrown));
      }
    });
    return null;
  }

  /** Sends the client away with the open questions; the call waits for it. */
  #ask(): void {
    const id = this.#id;
    if (this.#reply === null || id === null) return;
    const { parking, sealer } = this.#tools;
    this.#requested ??= requestedOf(this.request);
    const parked = parking.park(this);
    if (parked instanceof GatewayError) return this.#giveUp(parked);
    const state = sealParked(sealer, this.request.client, parked, parking.lifeMs);
    const info = this.#passage.session?.serverInfo ?? NAMELESS;
    const response = resultMessage(id, inputRequired(this.#questions.inputRequests(), state, info));
    const reply = this.#detach();
    // What the client sent may be large, and is not needed again.
    this.request = { ...this.request, body: EMPTY, envelope: null };
    this.#passage.outlast();
    reply?.answer(response);
  }

  /** The call cannot go on: its client hears why, its server that it is over. */
  #giveUp(error: GatewayError): void {
    this.expire();
    this.onFailure(refusalOf(error));
  }

  onResponse(message: Message): void {
    this.#questions.clear();
    if (this.#reply !== null) this.#tell(message);
    // The bytes may be part of much more that would be kept with them.
    else this.#outcome = { bytes: message.bytes.slice(), envelope: message.envelope };
  }

  onFailure(refusal: Refusal): void {
    this.#questions.clear();
    if (this.#reply !== null) this.#tell(refusal);
    else this.#outcome = refusal;
  }

  /** The client gets the response, and the call is over. */
  #tell(outcome: Message | Refusal): void {
    const reply = this.#detach();
    const id = this.#id;
    if (!('bytes' in outcome)) return reply?.refuse(outcome, id);
    const session = this.#passage.session;
    if (id === null || session === null) return;
    const { method, request } = this;
    const { caching } = this.#tools;
    const about = { request, id, method, serverInfo: session.serverInfo, caching };
    try {
      if (method === METHOD.toolsList) session.facts.learn(outcome);
      const asking = askUrls(outcome, about, session.owner.capabilities, this.#tools);
      const { message, status } =
        asking ?? lackOf(outcome, id, this.#questions.lacking) ?? respond(outcome, about);
      reply?.answer(message, status);
    } catch (thrown) {
      reply?.fail(toGatewayError(thrown));
    }
  }
}
