// Finds out which eras a server speaks and sends each request to where it is understood: to the server as it came, or through a face.
// Called by bridged.ts for servers of era `auto`. Promises: a server of both eras is never bridged, and costs its legacy clients no round trip; nothing but
// `server/discover` is ever asked to find out; once it is known, a request costs one comparison. Source: MCP 2026-07-28, versioning.
import { equalsAscii } from '../base/bytes.ts';
import { GatewayError } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import { has, kindOf, raw, text } from '../mcp/envelope.ts';
import { METHOD } from '../mcp/protocol.ts';
import { ENVELOPE, KIND } from '../scan/contract.ts';
import type { Upstream, UpstreamCall, UpstreamRequest, UpstreamSink } from '../upstream/upstream.ts';
import { EraCall } from './era-call.ts';
import { type EraFacts, FactBook, SPEAKS } from './era-facts.ts';
import { EraProbe, PROBE_ID, type ProbeOutcome } from './era-probe.ts';
import { EraQueue, type Waiting } from './era-queue.ts';
import { InitializeSink, WatchSink } from './era-sinks.ts';
import { type InitializeVerdict, isSuspect, judgeInitialize, type ProbeVerdict } from './era-verdict.ts';
import { FACE_SESSION, type Face, type FaceParts } from './face.ts';
import { type HeldReply, readdressed, replay } from './held-reply.ts';

/** Where requests of the other era go; each is made when it is first asked for. */
export interface Faces {
  /** For modern clients of a legacy server. */
  modern(): Face;
  /** For legacy clients of a modern server. */
  legacy(): Face;
}

type Facts = EraFacts<EraProbe>;

/** Quotes included. */
const INITIALIZE = '"initialize"';

/** Decides for one server, in one worker. */
export class EraRouter {
  readonly #parts: FaceParts;
  readonly #inner: Upstream;
  readonly #faces: Faces;
  readonly #isProcess: boolean;
  readonly #book: FactBook<EraProbe>;
  readonly #queue: EraQueue;

  constructor(parts: FaceParts, faces: Faces) {
    this.#parts = parts;
    this.#inner = parts.inner;
    this.#faces = faces;
    this.#queue = new EraQueue(parts.spec, parts.clock);
    this.#isProcess = parts.spec.target.kind === 'stdio';
    this.#book = new FactBook(this.#isProcess ? [] : parts.spec.forwardHeaders);
  }

  /** Requests that wait for a verdict. */
  get waiting(): number {
    return this.#queue.count;
  }

  /** What the server is taken for, whoever asks; one of both eras is modern. */
  get era(): 'legacy' | 'modern' | 'unknown' {
    let found: 'legacy' | 'modern' | 'unknown' = 'unknown';
    this.#book.each(({ modern, legacy }) => {
      if (modern >= SPEAKS.yes) found = 'modern';
      else if (found === 'unknown' && (legacy === SPEAKS.yes || modern === SPEAKS.no)) found = 'legacy';
    });
    return found;
  }

  /** As Upstream.send(). */
  send(request: UpstreamRequest, sink: UpstreamSink): UpstreamCall {
    if (request.era === 'modern') {
      const facts = this.#book.only ?? this.#book.of(request.headers);
      if (this.#goesOn(request)) return this.#faces.modern().send(request, sink);
      if (facts.modern === SPEAKS.yes) return this.#inner.send(request, sink);
      return this.#modern(request, sink, facts);
    }
    if (request.session !== null) {
      if (request.session.startsWith(FACE_SESSION)) return this.#faces.legacy().send(request, sink);
      return this.#inner.send(request, sink);
    }
    return isInitialize(request) ? this.#initialize(request, sink) : this.#inner.send(request, sink);
  }

  /** What a face sends to the server goes there, by `way`, and what comes back is looked at now and then. */
  sendForFace(way: Upstream, request: UpstreamRequest, sink: UpstreamSink): UpstreamCall {
    const facts = this.#book.only ?? this.#book.of(request.headers);
    if (request.era === 'modern') {
      if (facts.modern === SPEAKS.watched) return this.#watched(way, request, sink, facts);
    } else if (this.#isDoubtable(facts) && request.session === null && isInitialize(request)) {
      const isRefusal = (status: number, message: unknown): boolean =>
        judgeInitialize(status, message) === 'modern-only';
      return way.send(request, new WatchSink(sink, isRefusal, () => this.#suspect(facts, request)));
    }
    return way.send(request, sink);
  }

  /** The server may have learned the modern era since a call of this request began, and waits: it must not be executed a second time. */
  #goesOn(request: UpstreamRequest): boolean {
    const { envelope } = request;
    if (envelope === null || !has(envelope, ENVELOPE.requestState)) return false;
    return this.#faces.modern().isOwn?.(request) === true;
  }

  /** Of a process everything that it has said is true for good; that it said nothing is not. */
  #isDoubtable({ modernNoUntilMs }: Facts): boolean {
    return !this.#isProcess || modernNoUntilMs !== Number.POSITIVE_INFINITY;
  }

  /** Called every few seconds. */
  sweep(): void {
    // A process is replaced by the same program: what was true of it stays true.
    if (this.#isProcess) return;
    this.#book.each((facts) => {
      if (facts.modern === SPEAKS.yes) facts.modern = SPEAKS.watched;
    });
  }

  /** Whoever still waits is told that the gateway lets go of the server. */
  close(): void {
    this.#queue.close();
    this.#book.each((facts) => facts.probe?.stop(new GatewayError('GW_UPSTREAM_CLOSING')));
  }

  // ── modern requests ──────────────────────────────────────────────────────────────────────────────────────────────────

  #modern(request: UpstreamRequest, sink: UpstreamSink, facts: Facts): UpstreamCall {
    if (facts.modern === SPEAKS.watched) return this.#watched(this.#inner, request, sink, facts);
    if (facts.modern === SPEAKS.no) {
      if (!this.#queue.isClosed && this.#parts.clock.now() >= facts.modernNoUntilMs)
        this.#probe(facts, request);
      return this.#faces.modern().send(request, sink);
    }
    const call = new EraCall();
    const waiting = { request, sink, call, startedAtMs: this.#parts.clock.now() };
    const probe = (): EraProbe => this.#probe(facts, request);
    this.#queue.wait(waiting, probe, (outcome) => this.#decided(waiting, outcome));
    return call;
  }

  #decided(waiting: Waiting, outcome: ProbeOutcome): void {
    const { sink, call } = waiting;
    if (outcome.verdict !== 'none') {
      const request = this.#queue.rest(waiting);
      const server = outcome.verdict === 'modern' ? this.#inner : this.#faces.modern();
      call.follow(server.send(request, sink));
    } else if (outcome.reply === null) sink.onFail(outcome.failure ?? noEvidence());
    else this.#refuse(waiting, outcome.reply);
  }

  /** The client hears what the server said to the probe. */
  #refuse({ request, sink, call }: Waiting, reply: HeldReply): void {
    const { body, envelope } = request;
    const to = envelope === null ? null : raw(body, envelope, ENVELOPE.id);
    replay(readdressed(reply, this.#parts.scanner, { from: PROBE_ID, to }), sink, () => call.over);
  }

  #watched(way: Upstream, request: UpstreamRequest, sink: UpstreamSink, facts: Facts): UpstreamCall {
    facts.modern = SPEAKS.yes;
    return way.send(request, new WatchSink(sink, isSuspect, () => this.#suspect(facts, request)));
  }

  // ── initialize ───────────────────────────────────────────────────────────────────────────────────────────────────────

  /** It goes to the server as it is: what comes back is the best evidence, and costs nothing. */
  #initialize(request: UpstreamRequest, sink: UpstreamSink): UpstreamCall {
    const facts = this.#book.of(request.headers);
    const { clock } = this.#parts;
    if (facts.legacy === SPEAKS.no && clock.now() < facts.legacyNoUntilMs)
      return this.#faces.legacy().send(request, sink);
    const call = new EraCall();
    const waiting = { request, sink, call, startedAtMs: clock.now() };
    const accepted = (): void => {
      facts.legacy = SPEAKS.yes;
    };
    const judging = new InitializeSink(sink, this.#isProcess, {
      onAccepted: accepted,
      onJudged: (verdict, reply) => {
        if (verdict === 'accepted') accepted();
        return this.#judged(facts, waiting, verdict, reply);
      },
      isOver: () => call.over,
    });
    call.follow(this.#inner.send(request, judging));
    return call;
  }

  /** True when the client is seen to: the face serves it, or it waits for a probe. */
  #judged(
    facts: Facts,
    waiting: Waiting,
    verdict: InitializeVerdict,
    reply: HeldReply | GatewayError,
  ): boolean {
    // One faulty message must not turn a server that is known to speak the era into one that does not.
    const isRefusal = verdict === 'modern-only' || (verdict === 'doubtful' && facts.legacy !== SPEAKS.yes);
    if (!isRefusal) return false;
    const lasts = verdict === 'modern-only';
    // Neither the one era nor the other: it may have been replaced.
    if (facts.modern === SPEAKS.no && (!lasts || this.#isCalm(facts))) return false;
    if (facts.modern >= SPEAKS.yes) {
      this.#useFace(facts, waiting, lasts);
      return true;
    }
    const probe = (): EraProbe => this.#probe(facts, waiting.request);
    this.#queue.wait(waiting, probe, (outcome) => {
      if (outcome.verdict === 'modern') this.#useFace(facts, waiting, lasts);
      else if (reply instanceof GatewayError) waiting.sink.onFail(reply);
      else replay(reply, waiting.sink, () => waiting.call.over);
    });
    return true;
  }

  #useFace(facts: Facts, waiting: Waiting, lasts: boolean): void {
    if (lasts) {
      facts.legacy = SPEAKS.no;
      facts.legacyNoUntilMs = this.#isProcess ? Number.POSITIVE_INFINITY : this.#expiryMs();
    }
    waiting.call.follow(this.#faces.legacy().send(this.#queue.rest(waiting), waiting.sink));
  }

  // ── probes ───────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** The probe that runs, or a new one. */
  #probe(facts: Facts, like: UpstreamRequest): EraProbe {
    if (facts.probe !== null) return facts.probe;
    const { scanner, clock, spec } = this.#parts;
    const probe = new EraProbe({
      inner: this.#inner,
      scanner,
      clock,
      isProcess: this.#isProcess,
      timeoutMs: Math.min(spec.firstByteTimeoutMs, spec.totalTimeoutMs, LIMITS.eraProbeMs),
      like,
      onVerdict: (verdict) => this.#found(facts, verdict),
      onOver: () => {
        facts.probe = null;
        if (facts.modern === SPEAKS.no) this.#inner.releaseShared?.();
      },
    });
    facts.probe = probe;
    // The probe's own failure, too, comes after whoever asked for it waits.
    clock.soon(() => probe.start());
    return probe;
  }

  #found(facts: Facts, verdict: ProbeVerdict): void {
    const { clock, log } = this.#parts;
    facts.calmUntilMs = clock.now() + LIMITS.eraCalmMs;
    // Nothing found: what was known stays, and is looked into again before long.
    if (verdict === 'none') facts.modernNoUntilMs = facts.calmUntilMs;
    else if (verdict === 'modern') {
      if (facts.modern < SPEAKS.yes) log.info('the MCP server speaks the modern era');
      facts.modern = SPEAKS.yes;
    } else {
      if (facts.modern !== SPEAKS.no) log.info('the MCP server does not speak the modern era', { verdict });
      facts.modern = SPEAKS.no;
      // It must speak something.
      if (facts.legacy === SPEAKS.no) facts.legacy = SPEAKS.unknown;
      const isLasting = this.#isProcess && verdict === 'legacy';
      // The process that was asked is of no use to legacy sessions; one that is silent may still answer.
      if (verdict === 'legacy') this.#inner.releaseShared?.();
      facts.modernNoUntilMs = isLasting ? Number.POSITIVE_INFINITY : this.#expiryMs();
    }
  }

  /** A server gave an answer that does not go with what is known of it: it is asked again, in the background. */
  #suspect(facts: Facts, like: UpstreamRequest): void {
    if (!this.#queue.isClosed && !this.#isCalm(facts)) this.#probe(facts, like);
  }

  /** True when it was asked a moment ago. */
  #isCalm(facts: Facts): boolean {
    return this.#parts.clock.now() < facts.calmUntilMs;
  }

  #expiryMs(): number {
    const { clock, random } = this.#parts;
    // Workers that learned it together must not ask again together.
    return clock.now() + LIMITS.eraNoMs * (0.75 + random.fraction() / 2);
  }
}

function noEvidence(): GatewayError {
  return new GatewayError('GW_UPSTREAM_MESSAGE', 'it did not answer server/discover');
}

function isInitialize({ body, envelope }: UpstreamRequest): boolean {
  if (envelope === null || kindOf(envelope) !== KIND.request) return false;
  const start = envelope[ENVELOPE.method] ?? -1;
  const end = envelope[ENVELOPE.method + 1] ?? -1;
  if (end - start === INITIALIZE.length) return equalsAscii(body, start, end, INITIALIZE);
  // A longer spelling of it has escapes.
  return end - start > INITIALIZE.length && text(body, envelope, ENVELOPE.method) === METHOD.initialize;
}
