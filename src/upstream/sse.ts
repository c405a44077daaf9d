// A server of the HTTP+SSE transport (MCP 2024-11-05) with a Streamable-HTTP face: a session is an event stream of its own and the POSTs beside it.
// Called by create.ts (makes it), sse-detect.ts and proxy (through upstream.ts). Promises: what upstream.ts promises; a session outlives its event
// stream, see stdio-session.ts; sessions live in the worker that opened them; close() leaves no connection behind.
import { GatewayError, RPC } from '../base/errors.ts';
import type { PoolCell } from '../memory/cells.ts';
import type { Ledger } from '../observe/ledger.ts';
import type { Log } from '../observe/log.ts';
import type { Runtime } from '../runtime/runtime.ts';
import { ENVELOPE, KIND, type Scanner } from '../scan/contract.ts';
import { LegacySessions } from './legacy-sessions.ts';
import type { ServerSpec } from './spec.ts';
import { SseCore } from './sse-core.ts';
import { place, response, spanOf } from './stdio-message.ts';
import { Reply } from './stdio-reply.ts';
import type { Upstream, UpstreamCall, UpstreamRequest, UpstreamSink, UpstreamStats } from './upstream.ts';

/** What an HTTP+SSE upstream is made of. */
export interface SseUpstreamOptions {
  readonly runtime: Runtime;
  readonly scanner: Scanner;
  /** A server whose target is HTTP. */
  readonly spec: ServerSpec;
  readonly log: Log;
  /** Carries the requests; closed with this one. */
  readonly http: Upstream;
  /** Of the same server as that one's. */
  readonly cell: PoolCell;
  readonly sessionsMax: number;
  readonly sessionIdleMs: number;
  /** Hears of sessions; left out: nobody looks. */
  readonly ledger?: Ledger | undefined;
}

/** An upstream that can be asked what it knows. */
export interface SseUpstream extends Upstream {
  /** True when the session is one of its own. */
  has(session: string): boolean;
  /** How often a connection has named its endpoint, which only servers of this transport do. */
  readonly endpoints: number;
}

/** Makes the upstream; nothing is connected before the first request. */
export function createSseUpstream(options: SseUpstreamOptions): SseUpstream {
  return new SseTransport(options);
}

/** Part of close()'s time that is kept for the connections, at most. */
const STOP_MS_MAX = 1_000;
const NOT_THIS_ERA = `"error":{"code":${RPC.methodNotFound},"message":"A server of the HTTP+SSE transport speaks revision 2024-11-05: send initialize"}`;

class SseTransport implements SseUpstream {
  readonly name: string;
  readonly transport: Upstream['transport'];
  endpoints = 0;
  readonly #http: Upstream;
  readonly #core: SseCore;
  readonly #cell: PoolCell;
  readonly #sessions: LegacySessions;
  #closing: Promise<void> | null = null;
  #onChange: () => void = () => undefined;

  constructor(options: SseUpstreamOptions) {
    const { spec, http, cell } = options;
    const isCertain = spec.target.kind === 'http' && spec.target.transport === 'sse';
    this.name = spec.name;
    this.transport = http.transport;
    this.#http = http;
    this.#cell = cell;
    this.#core = new SseCore({
      ...options,
      log: options.log.with({ server: spec.name }),
      changed: () => {
        cell.setSessions(this.#sessions.size);
        this.#onChange();
      },
      // Until it is known that the server speaks this transport, waiting long for it would be waiting for nothing.
      openMs: () => (this.endpoints > 0 || isCertain ? spec.firstByteTimeoutMs : spec.connectTimeoutMs),
      onEndpoint: () => {
        this.endpoints++;
      },
    });
    this.#sessions = new LegacySessions(this.#core, options);
    options.ledger?.add({ sessions: () => this.#sessions.live('sse') });
  }

  has(session: string): boolean {
    return this.#sessions.has(session);
  }

  send(request: UpstreamRequest, sink: UpstreamSink): UpstreamCall {
    const { clock } = this.#core.runtime;
    request.marks?.sent(clock.now());
    const reply = new Reply(sink, clock, true);
    const refusal =
      request.era === 'modern' ? this.#modern(request, reply) : this.#sessions.take(request, reply);
    if (refusal !== null) reply.fail(refusal);
    reply.release();
    return reply;
  }

  /** What a server that knows no such method says: it is how clients find out its era. */
  #modern({ envelope, body }: UpstreamRequest, reply: Reply): GatewayError | null {
    const isRequest = envelope !== null && place(envelope, ENVELOPE.kind) === KIND.request;
    const id = isRequest ? spanOf(body, envelope, ENVELOPE.id) : null;
    if (id === null)
      return new GatewayError(
        'GW_MCP_METHOD',
        'a server of the HTTP+SSE transport knows only revision 2024-11-05',
      );
    reply.answer(response(id.slice(), NOT_THIS_ERA), [], 404, null);
    return null;
  }

  isPiped(): boolean {
    return true;
  }

  stats(): UpstreamStats {
    const { total, waiting, ...rest } = this.#http.stats();
    const { busy, size } = this.#sessions;
    return {
      ...rest,
      total,
      busy,
      idle: Math.max(0, total - busy),
      waiting: waiting + this.#sessions.waiting,
      sessions: size,
    };
  }

  nudged(): void {
    this.#http.nudged?.();
  }

  sweep(): void {
    this.#http.sweep?.();
  }

  close(withinMs: number): Promise<void> {
    this.#closing ??= this.#close(withinMs);
    return this.#closing;
  }

  async #close(withinMs: number): Promise<void> {
    const { clock } = this.#core.runtime;
    const endsAt = clock.now() + withinMs;
    const closing = new GatewayError('GW_UPSTREAM_CLOSING');
    this.#sessions.drain(closing);
    const stopMs = Math.min(withinMs / 2, STOP_MS_MAX);
    await this.#until(() => this.#sessions.awaited === 0, withinMs - stopMs);
    const graceMs = Math.max(0, (endsAt - clock.now()) / 2);
    this.#sessions.end(closing, graceMs);
    await this.#until(() => this.#core.pipes.size === 0, graceMs);
    await this.#http.close(Math.max(0, endsAt - clock.now()));
    this.#cell.setSessions(0);
  }

  /** Resolves when the condition holds, which is asked after every change, or after `withinMs`. */
  #until(holds: () => boolean, withinMs: number): Promise<void> {
    if (holds()) return Promise.resolve();
    const { clock } = this.#core.runtime;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = clock.after(withinMs, resolve);
    this.#onChange = () => {
      if (holds()) resolve();
    };
    return promise.then(() => clock.cancel(timer));
  }
}
