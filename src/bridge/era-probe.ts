// One probe of a server: `server/discover`, never anything that could be executed, shared by all who wait for what it finds.
// Called by era.ts. Promises: everyone who waits is told exactly once, in the order of waiting, unless it left before; bounded in time and size;
// a process that starts slowly may still prove modern after its silence was taken for a no. Source: MCP 2026-07-28, versioning.
import { encode } from '../base/bytes.ts';
import { GatewayError } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import { isRecord, readMessage } from '../mcp/envelope.ts';
import { META, METHOD, MODERN_VERSIONS } from '../mcp/protocol.ts';
import { EventReader } from '../mcp/sse.ts';
import type { Clock, TimerId } from '../runtime/runtime.ts';
import type { Scanner } from '../scan/contract.ts';
import { ContainedSink } from '../upstream/contained-sink.ts';
import type { ReplyHead, Upstream, UpstreamCall, UpstreamRequest } from '../upstream/upstream.ts';
import { judgeDiscover, judgeSilence, type ProbeVerdict } from './era-verdict.ts';
import { type HeldReply, heldReply, keptHead, parsed } from './held-reply.ts';

/** Id of the probe, as text. */
export const PROBE_ID = 'sluice:era';

const VERSION = MODERN_VERSIONS[0] ?? '';
const DISCOVER = encode(
  JSON.stringify({
    jsonrpc: '2.0',
    id: PROBE_ID,
    method: METHOD.discover,
    params: {
      _meta: {
        [META.protocolVersion]: VERSION,
        [META.clientInfo]: { name: 'sluice', version: '0.1.0' },
        [META.clientCapabilities]: {},
      },
    },
  }),
);

/** Headers of a client's request that say what it is, which the probe is not. */
const OWN_HEADER = /^(mcp-|accept$|last-event-id$|content-)/;

/** What a probe found, and what the server said: `reply` or `failure` is there when there is no evidence. */
export interface ProbeOutcome {
  readonly verdict: ProbeVerdict;
  readonly reply: HeldReply | null;
  readonly failure: GatewayError | null;
}

/** What a probe is made of. */
export interface ProbePlan {
  readonly inner: Upstream;
  readonly scanner: Scanner;
  readonly clock: Clock;
  readonly isProcess: boolean;
  /** Longest wait for a reply. */
  readonly timeoutMs: number;
  /** The request that gave rise to it: the probe shows the same credentials. */
  readonly like: UpstreamRequest;
  /** Told once before anyone who waits, and once more when a process answers late after all. */
  readonly onVerdict: (verdict: ProbeVerdict) => void;
  /** It is over: nobody is to wait for it any more. A verdict may still follow in the same turn. */
  readonly onOver: () => void;
}

/** A probe under way. */
export class EraProbe {
  readonly #plan: ProbePlan;
  readonly #waiting = new Set<(outcome: ProbeOutcome) => void>();
  #call: UpstreamCall | null = null;
  #timer: TimerId = 0;
  #patience: TimerId = 0;
  #outcome: ProbeOutcome | null = null;
  #isOver = false;

  constructor(plan: ProbePlan) {
    this.#plan = plan;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** The callback is called once the verdict is there, unless leave() came first. */
  wait(callback: (outcome: ProbeOutcome) => void): void {
    this.#waiting.add(callback);
  }

  leave(callback: (outcome: ProbeOutcome) => void): void {
    this.#waiting.delete(callback);
  }

  /** Sends it. */
  start(): void {
    if (this.#isOver) return;
    const { inner, scanner, clock, isProcess, timeoutMs } = this.#plan;
    this.#timer = clock.after(timeoutMs, () => this.#failed(tooLate(timeoutMs)));
    if (isProcess)
      this.#patience = clock.after(Math.min(timeoutMs, LIMITS.eraProcessProbeMs), () =>
        this.#settle({ verdict: 'silent', reply: null, failure: null }),
      );
    const sink = new ProbeSink(scanner, {
      onReply: (reply, message) => this.#replied(reply, message),
      onFailed: (error) => this.#failed(error),
    });
    const request = probeRequest(scanner, this.#plan.like);
    if (request instanceof GatewayError) this.#failed(request);
    else this.#call = inner.send(request, sink);
  }

  /** Ends it; whoever waits is told that there is no evidence, for this reason. */
  stop(error: GatewayError): void {
    if (!this.#isOver) this.#failed(error);
  }

  #replied(reply: HeldReply, message: unknown): void {
    if (isForAnother(message))
      return this.#failed(new GatewayError('GW_UPSTREAM_MESSAGE', 'it answers another request'));
    const verdict = judgeDiscover(this.#plan.isProcess, reply.head.status, message);
    this.#end({ verdict, reply, failure: null });
  }

  #failed(error: GatewayError): void {
    const isAsked = error.code === 'GW_UPSTREAM_CLOSING';
    const verdict = isAsked ? 'none' : judgeSilence(this.#plan.isProcess, error);
    this.#end({ verdict, reply: null, failure: error });
  }

  #end(outcome: ProbeOutcome): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const { clock, onVerdict, onOver } = this.#plan;
    clock.cancel(this.#timer);
    clock.cancel(this.#patience);
    this.#call?.abort();
    // First: whoever is told may send again in the same breath.
    onOver();
    if (this.#outcome === null) this.#settle(outcome);
    else if (outcome.verdict === 'modern' || outcome.verdict === 'legacy') onVerdict(outcome.verdict);
  }

  #settle(outcome: ProbeOutcome): void {
    this.#outcome = outcome;
    this.#plan.onVerdict(outcome.verdict);
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const callback of waiting) callback(outcome);
  }
}

/** An answer under another id, such as can be left over on a connection, says nothing; one without any may be an error of the HTTP level. */
function isForAnother(message: unknown): boolean {
  if (!isRecord(message)) return false;
  const { id } = message;
  return id !== undefined && id !== null && id !== PROBE_ID;
}

function tooLate(timeoutMs: number): GatewayError {
  return new GatewayError('GW_UPSTREAM_TIMEOUT', `no reply to server/discover within ${timeoutMs} ms`);
}

function probeRequest(scanner: Scanner, like: UpstreamRequest): UpstreamRequest | GatewayError {
  const message = readMessage(scanner, DISCOVER);
  if (message instanceof GatewayError) return message;
  const headers = ['accept', 'application/json, text/event-stream', 'mcp-protocol-version', VERSION];
  headers.push('mcp-method', METHOD.discover);
  for (let i = 0; i + 1 < like.headers.length; i += 2) {
    const name = like.headers[i] ?? '';
    if (!OWN_HEADER.test(name)) headers.push(name, like.headers[i + 1] ?? '');
  }
  return {
    verb: 'POST',
    era: 'modern',
    body: message.bytes,
    envelope: message.envelope,
    edits: [],
    headers,
    session: null,
    exchangeId: like.exchangeId,
    client: like.client,
    timeoutMs: 0,
  };
}

interface ProbeEvents {
  /** `message` is the parsed response, null when there was none. */
  onReply(reply: HeldReply, message: unknown): void;
  onFailed(error: GatewayError): void;
}

/** Gathers the reply, or finds the response in an event stream. */
class ProbeSink extends ContainedSink {
  readonly #scanner: Scanner;
  readonly #events: ProbeEvents;
  #head: ReplyHead | null = null;
  #reader: EventReader | null = null;
  #parts: Uint8Array[] = [];
  #bytes = 0;

  constructor(scanner: Scanner, events: ProbeEvents) {
    super();
    this.#scanner = scanner;
    this.#events = events;
  }

  protected head(head: ReplyHead): void {
    this.#head = keptHead(head);
    if (head.media === 'event-stream') this.#reader = new EventReader(this.#scanner);
  }

  protected data(bytes: Uint8Array): boolean {
    this.#bytes += bytes.length;
    if (this.#bytes > LIMITS.eraReplyBytesMax)
      throw new GatewayError('GW_UPSTREAM_BODY_SIZE', `it is larger than ${LIMITS.eraReplyBytesMax} bytes`);
    if (this.#reader === null) this.#parts.push(bytes);
    else this.#reader.push(bytes, (event) => this.#event(event.data));
    return true;
  }

  protected ended(): void {
    const head = this.#head;
    if (head === null) throw new GatewayError('GW_UPSTREAM_CLOSED', 'it ended without a head');
    if (this.#reader !== null)
      throw new GatewayError('GW_UPSTREAM_CLOSED', 'the event stream ended without a response');
    const reply = heldReply(head, this.#parts);
    this.leave();
    this.#events.onReply(reply, head.media === 'json' ? parsed(reply.body) : null);
  }

  protected failed(error: GatewayError): void {
    this.#events.onFailed(error);
  }

  #event(data: Uint8Array): void {
    const head = this.#head;
    if (this.over || head === null) return;
    const message = parsed(data);
    if (typeof message !== 'object' || message === null || !('result' in message || 'error' in message))
      return;
    this.leave();
    const json = { ...head, media: 'json' as const, header: jsonHeader(head) };
    this.#events.onReply(heldReply(json, [data.slice()]), message);
  }
}

/** Headers of a reply whose message is taken out of its event stream. */
function jsonHeader(head: ReplyHead): ReplyHead['header'] {
  return (name) => (name === 'content-type' ? 'application/json' : head.header(name));
}
