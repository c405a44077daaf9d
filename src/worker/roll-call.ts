// Asks the servers without which the gateway is not ready: until they answer, and again while none of their places is in use.
// Called by roster.ts. Promises: each server is asked by one worker, by the way of clients' requests (its breaker, its places, its bridge; no kept answer); nothing waits
// for it; what it finds is in the shared memory, for all.
import { must } from '../base/assert.ts';
import { encode } from '../base/bytes.ts';
import { GatewayError } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import { collect } from '../bridge/collect.ts';
import { postRequest } from '../bridge/member.ts';
import { type Message, readMessage } from '../mcp/envelope.ts';
import { META, METHOD, MODERN_VERSIONS } from '../mcp/protocol.ts';
import type { PlaneMemory } from '../memory/memory.ts';
import { isUsable, noteAnswer, noteFault, readRollCall } from '../memory/required.ts';
import type { Runtime, TimerId } from '../runtime/runtime.ts';
import type { Scanner } from '../scan/contract.ts';
import type { Snapshot } from '../snapshot.ts';
import { isServerError } from '../upstream/breaker.ts';
import { homeOf } from '../upstream/peer.ts';
import { cellsInOrder } from '../upstream/spec.ts';
import { NO_CLIENT, type Upstream, type UpstreamRequest } from '../upstream/upstream.ts';

/** What a roll call takes of its data plane. */
export interface RollCallParts {
  readonly runtime: Pick<Runtime, 'clock' | 'random'>;
  readonly scanner: Scanner;
  readonly memory: PlaneMemory;
  readonly worker: number;
}

/** A server that is asked. */
interface Called {
  readonly upstream: Upstream;
  /** Its own cell, and those of the places that may get something. */
  readonly cell: number;
  readonly places: readonly number[];
  readonly timeoutMs: number;
  /** Times in a row that it has not answered. */
  misses: number;
  timer: TimerId;
}

const ID = 'sluice:required';
const VERSION = MODERN_VERSIONS[0] ?? '';
/** What every server can say something about, in the one era or, through the bridge, in the other; the gateway never answers it itself. */
const QUESTION = {
  jsonrpc: '2.0',
  id: ID,
  method: METHOD.toolsList,
  params: {
    _meta: {
      [META.protocolVersion]: VERSION,
      [META.clientInfo]: { name: 'sluice', version: '0.1.0' },
      [META.clientCapabilities]: {},
    },
  },
};
const HEADERS: readonly string[] = Object.freeze([
  ...['accept', 'application/json, text/event-stream'],
  ...['mcp-protocol-version', VERSION, 'mcp-method', METHOD.toolsList],
]);

/** The required servers of one worker. */
export class RollCall {
  readonly #parts: RollCallParts;
  readonly #called = new Map<Upstream, Called>();
  #question: Message | null = null;

  constructor(parts: RollCallParts) {
    this.#parts = parts;
  }

  /** These servers count from now on, by the snapshot that they are of; `upstreams` are theirs, in its order. */
  use(snapshot: Snapshot, upstreams: readonly Upstream[]): void {
    const { memory, worker, runtime } = this.#parts;
    const cells = snapshot.places?.servers ?? cellsInOrder(snapshot.servers);
    const wanted = new Map<Upstream, Called>();
    snapshot.servers.forEach((spec, at) => {
      const own = cells[at] ?? [];
      const upstream = upstreams[at];
      if (
        spec.required !== true ||
        upstream === undefined ||
        homeOf(spec.name, memory.plan.workers) !== worker
      )
        return;
      const places = own.filter((_, index) => spec.replication?.weights[index] !== 0);
      const timeoutMs = Math.min(spec.firstByteTimeoutMs, LIMITS.memberTimeoutMs);
      wanted.set(upstream, { upstream, cell: own[0] ?? 0, places, timeoutMs, misses: 0, timer: 0 });
    });
    for (const [upstream, { timer }] of [...this.#called]) {
      if (wanted.has(upstream)) continue;
      runtime.clock.cancel(timer);
      this.#called.delete(upstream);
    }
    for (const [upstream, one] of wanted) {
      if (this.#called.has(upstream)) continue;
      this.#called.set(upstream, one);
      this.#lookIn(one, 0);
    }
  }

  #lookIn(one: Called, ms: number): void {
    one.timer = this.#parts.runtime.clock.after(ms, () => this.#look(one));
  }

  #look(one: Called): void {
    const { memory } = this.#parts;
    const { hasAnswered } = readRollCall(memory, one.cell);
    if (hasAnswered && one.places.some((cell) => isUsable(memory, cell)))
      return this.#lookIn(one, LIMITS.requiredLookMs);
    void this.#ask(one);
  }

  async #ask(one: Called): Promise<void> {
    const { scanner, runtime, memory } = this.#parts;
    const { clock, random } = runtime;
    const reply = await collect({ scanner, clock }, one.upstream, this.#request(), {
      timeoutMs: one.timeoutMs,
    });
    if (this.#called.get(one.upstream) !== one) return;
    const code = faultOf(reply);
    // It is let go of.
    if (code === 'GW_UPSTREAM_CLOSING') return;
    if (code === null) {
      one.misses = 0;
      noteAnswer(memory, one.cell);
      return this.#lookIn(one, LIMITS.requiredLookMs);
    }
    noteFault(memory, one.cell, code);
    const waitMs = Math.min(LIMITS.requiredRetryFirstMs * 2 ** one.misses++, LIMITS.requiredRetryLastMs);
    // Gateways that start together must not ask together.
    this.#lookIn(one, waitMs * (0.75 + random.fraction() / 2));
  }

  #request(): UpstreamRequest {
    this.#question ??= questionOf(this.#parts.scanner);
    const { bytes, envelope } = this.#question;
    const call = {
      era: 'modern',
      headers: HEADERS,
      session: null,
      exchangeId: ID,
      client: NO_CLIENT,
    } as const;
    return postRequest(call, { body: bytes, envelope: envelope.slice(), edits: [] });
  }
}

function questionOf(scanner: Scanner): Message {
  const message = readMessage(scanner, encode(JSON.stringify(QUESTION)));
  return must(message instanceof GatewayError ? null : message, 'a question of our own is a message');
}

/** Why a reply is no answer; null: it is one, whatever it says, a refusal of who asks included. */
function faultOf(reply: Awaited<ReturnType<typeof collect>>): GatewayError['code'] | null {
  if (reply instanceof GatewayError) return reply.code;
  return isServerError(reply.status) ? 'GW_UPSTREAM_MEDIA' : null;
}
