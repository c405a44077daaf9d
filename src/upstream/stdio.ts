// A stdio MCP server with a Streamable-HTTP face: modern requests share a child, each legacy session has its own, unless the operator
// would have it otherwise (`sharing`).
// Called by create.ts (makes it) and proxy (through upstream.ts). Promises: what upstream.ts promises; nothing comes to
// the sink before send() has returned; close() leaves no process behind.
import { assert } from '../base/assert.ts';
import { GatewayError } from '../base/errors.ts';
import { type PoolCell, soloCell } from '../memory/cells.ts';
import type { Ledger, LiveChild } from '../observe/ledger.ts';
import type { Log } from '../observe/log.ts';
import type { Runtime } from '../runtime/runtime.ts';
import { ENVELOPE, KIND, type Scanner } from '../scan/contract.ts';
import { firstByteBoundMs } from './deadline.ts';
import { LegacySessions } from './legacy-sessions.ts';
import type { ServerSpec } from './spec.ts';
import { StdioCore } from './stdio-core.ts';
import { place } from './stdio-message.ts';
import { ModernChildren } from './stdio-modern.ts';
import { Reply } from './stdio-reply.ts';
import { Together } from './stdio-together.ts';
import type { Upstream, UpstreamCall, UpstreamRequest, UpstreamSink, UpstreamStats } from './upstream.ts';

/** Part of close()'s time that is kept for stopping the processes, at most. */
const STOP_MS_MAX = 1_000;
/** Time past SIGKILL after which close() stops waiting for a process that the kernel does not end. */
const GIVE_UP_MS = 1_000;

/** What a stdio upstream is made of. */
export interface StdioUpstreamOptions {
  readonly runtime: Runtime;
  readonly scanner: Scanner;
  /** A server whose target is stdio. */
  readonly spec: ServerSpec;
  readonly log: Log;
  /** Legacy sessions, which are processes, at once. */
  readonly sessionsMax: number;
  readonly sessionIdleMs: number;
  /** Hears of sessions, processes and what fails; left out: nobody looks. */
  readonly ledger?: Ledger | undefined;
  /** What this worker tells the others of its processes; left out: nobody is told. */
  readonly cell?: PoolCell;
}

/** Makes the upstream; no process is started before the first request. */
export function createStdioUpstream(options: StdioUpstreamOptions): Upstream {
  return new StdioUpstream(options);
}

class StdioUpstream implements Upstream {
  readonly name: string;
  readonly transport = 'stdio';
  readonly #options: StdioUpstreamOptions;
  readonly #core: StdioCore;
  readonly #modern: ModernChildren;
  readonly #sessions: LegacySessions;
  /** The child of all legacy sessions; null where each has its own. */
  readonly #together: Together | null;
  #closing: GatewayError | null = null;
  #onChange: () => void = () => undefined;
  #isToTell = false;

  constructor(options: StdioUpstreamOptions) {
    const { runtime, scanner, spec, log, sessionsMax } = options;
    const { target } = spec;
    assert(target.kind === 'stdio', 'a stdio upstream has a stdio target');
    this.name = spec.name;
    this.#options = options;
    const changed = (): void => {
      this.#tellSoon();
      this.#onChange();
    };
    this.#core = new StdioCore({
      runtime,
      scanner,
      spec,
      target,
      log: log.with({ server: spec.name }),
      cell: options.cell ?? soloCell(),
      ledger: options.ledger,
      changed,
      warmRoom: () => sessionsMax - this.#sessions.count,
    });
    this.#modern = new ModernChildren(this.#core);
    this.#together = target.keep.sharing === 'shared' ? new Together(this.#core) : null;
    const begin = this.#together === null ? null : this.#together.begin.bind(this.#together);
    this.#sessions = new LegacySessions(this.#core, options, begin);
    options.ledger?.add({ sessions: () => this.#sessions.live('stdio'), children: () => this.#children() });
    // Elsewhere the first session tells that the server has any.
    if (spec.era === 'legacy') this.#core.warm.refill();
  }

  send(request: UpstreamRequest, sink: UpstreamSink): UpstreamCall {
    const { clock } = this.#core.runtime;
    request.marks?.sent(clock.now());
    const reply = new Reply(sink, clock);
    const isModern = request.verb === 'POST' && request.era === 'modern';
    const refusal = isModern ? this.#modernPost(request, reply) : this.#sessions.take(request, reply);
    if (refusal !== null) reply.fail(refusal);
    reply.release();
    this.#tellSoon();
    return reply;
  }

  /** Starts the exchange, or says why it is refused. */
  #modernPost(request: UpstreamRequest, reply: Reply): GatewayError | null {
    const { envelope, body, edits } = request;
    if (this.#closing !== null) return this.#closing;
    if (envelope === null) return new GatewayError('GW_MCP_BATCH', 'this revision has no batches');
    const child = this.#modern.of(request.client.principal, this.#options.sessionsMax);
    if (child instanceof GatewayError) return child;
    const message = { body, envelope, edits };
    switch (place(envelope, ENVELOPE.kind)) {
      case KIND.request:
        child.request(message, reply, firstByteBoundMs(this.#core.spec, request), request.isBackground);
        return null;
      case KIND.notification:
        child.notify(message, reply);
        return null;
      default:
        return new GatewayError('GW_MCP_MESSAGE', 'clients of this revision send requests and notifications');
    }
  }

  releaseShared(): void {
    this.#modern.release();
  }

  /** Other threads see the numbers of the last turn: to count anew for each call would cost each call a look at all sessions. */
  #tellSoon(): void {
    if (this.#isToTell) return;
    this.#isToTell = true;
    this.#core.runtime.clock.soon(() => {
      this.#isToTell = false;
      this.#tell();
    });
  }

  #tell(): void {
    const { cell } = this.#core;
    const { total, idle, waiting, sessions } = this.stats();
    cell.setLoad(total, idle);
    cell.setWaiting(waiting);
    cell.setSessions(sessions);
  }

  isPiped(): boolean {
    return true;
  }

  stats(): UpstreamStats {
    const { cell, pipes } = this.#core;
    const busy = (this.#together?.keeper.busy ?? this.#sessions.busy) + this.#modern.busy;
    const waiting = this.#sessions.waiting + this.#modern.waiting;
    const total = pipes.size;
    return {
      ...cell.numbers(),
      total,
      busy,
      idle: Math.max(0, total - busy),
      waiting,
      sessions: this.#sessions.size,
    };
  }

  #children(): LiveChild[] {
    const { pipes, keep } = this.#core;
    const common = new Set([...this.#modern.pipes(), ...(this.#together?.keeper.pipes() ?? [])]);
    return [...pipes].map((pipe) => ({
      pid: pipe.pid,
      sharing: common.has(pipe) && keep.sharing !== 'session' ? 'shared' : 'session',
    }));
  }

  // ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────────

  async close(withinMs: number): Promise<void> {
    const { clock } = this.#core.runtime;
    const startedAt = clock.now();
    const closing = new GatewayError('GW_UPSTREAM_CLOSING');
    const first = this.#closing === null;
    this.#closing ??= closing;
    const stopMs = Math.min(withinMs / 2, STOP_MS_MAX);
    if (first) {
      this.#core.warm.close(withinMs / 2, withinMs / 2);
      this.#modern.endListens();
      this.#sessions.drain(closing);
      await this.#until(() => this.#awaited() === 0, withinMs - stopMs);
      const graceMs = Math.max(0, (withinMs - (clock.now() - startedAt)) / 2);
      this.#modern.stop(closing, graceMs);
      this.#sessions.end(closing, graceMs);
      this.#together?.keeper.stop(closing, graceMs, graceMs);
    }
    const gone = (): boolean => this.#core.pipes.size === 0;
    await this.#until(gone, Math.max(0, withinMs - (clock.now() - startedAt)));
    for (const pipe of this.#core.pipes) pipe.kill();
    await this.#until(gone, GIVE_UP_MS);
    // Nothing follows that would tell of it, and the cells are another server's next.
    this.#tell();
    if (!gone())
      this.#core.log.error('a process of the MCP server did not end', { count: this.#core.pipes.size });
  }

  #awaited(): number {
    return this.#modern.awaited + this.#sessions.awaited;
  }

  /** Resolves when the condition holds, which is asked after every change, or after `withinMs`. */
  #until(holds: () => boolean, withinMs: number): Promise<void> {
    const { clock } = this.#core.runtime;
    const { promise, resolve } = Promise.withResolvers<void>();
    if (holds()) return Promise.resolve();
    const before = this.#onChange;
    const timer = clock.after(withinMs, resolve);
    this.#onChange = () => {
      before();
      if (holds()) resolve();
    };
    return promise.then(() => {
      clock.cancel(timer);
    });
  }
}
