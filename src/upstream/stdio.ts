// A stdio MCP server with a Streamable-HTTP face: modern requests share one child, each legacy session has its own.
// Called by worker.ts (makes it) and proxy (through upstream.ts). Promises: what upstream.ts promises; nothing comes to
// the sink before send() has returned; close() leaves no process behind.
import { assert } from '../base/assert.ts';
import { GatewayError } from '../base/errors.ts';
import { METHOD } from '../mcp/protocol.ts';
import { type PoolCell, soloCell } from '../memory/cells.ts';
import type { Log } from '../observe/log.ts';
import type { Runtime } from '../runtime/runtime.ts';
import { ENVELOPE, KIND, type Scanner } from '../scan/contract.ts';
import { firstByteBoundMs } from './deadline.ts';
import type { ServerSpec } from './spec.ts';
import { StdioCore } from './stdio-core.ts';
import { isMethod, type Message, place, response, spanOf, splitBatch } from './stdio-message.ts';
import { Reply } from './stdio-reply.ts';
import { LegacySession } from './stdio-session.ts';
import { SharedChild } from './stdio-shared.ts';
import { Backoff } from './supervise.ts';
import type { Upstream, UpstreamCall, UpstreamRequest, UpstreamSink, UpstreamStats } from './upstream.ts';

const SESSION_ID_BYTES = 32;
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
  readonly #shared: SharedChild;
  readonly #births: Backoff;
  /** Sessions by id, and all of them, those that are not open yet included. */
  readonly #byId = new Map<string, LegacySession>();
  readonly #sessions = new Set<LegacySession>();
  #closing: GatewayError | null = null;
  #onChange: () => void = () => undefined;
  #isToTell = false;

  constructor(options: StdioUpstreamOptions) {
    const { runtime, scanner, spec, log } = options;
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
      changed,
    });
    this.#shared = new SharedChild(this.#core);
    this.#births = new Backoff(runtime.clock, runtime.random);
  }

  send(request: UpstreamRequest, sink: UpstreamSink): UpstreamCall {
    const reply = new Reply(sink, this.#core.runtime.clock);
    const refusal = this.#take(request, reply);
    if (refusal !== null) reply.fail(refusal);
    reply.release();
    this.#tellSoon();
    return reply;
  }

  /** Other threads see the numbers of the last turn: to count anew for each call would cost each call a look at all sessions. */
  #tellSoon(): void {
    if (this.#isToTell) return;
    this.#isToTell = true;
    this.#core.runtime.clock.soon(() => {
      this.#isToTell = false;
      const { cell } = this.#core;
      const { total, idle, waiting, sessions } = this.stats();
      cell.setLoad(total, idle);
      cell.setWaiting(waiting);
      cell.setSessions(sessions);
    });
  }

  stats(): UpstreamStats {
    const { cell, pipes } = this.#core;
    const sessions = [...this.#sessions];
    const busy = sessions.filter((session) => session.busy).length + (this.#shared.busy ? 1 : 0);
    const waiting = sessions.reduce((sum, session) => sum + session.waiting, this.#shared.waiting);
    const total = pipes.size;
    return {
      ...cell.numbers(),
      total,
      busy,
      idle: Math.max(0, total - busy),
      waiting,
      sessions: this.#byId.size,
    };
  }

  // ── requests ─────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Starts the exchange, or says why it is refused; so do the four that follow. */
  #take(request: UpstreamRequest, reply: Reply): GatewayError | null {
    if (request.verb !== 'POST') return this.#onSession(request, reply);
    return request.era === 'modern' ? this.#modern(request, reply) : this.#legacy(request, reply);
  }

  #modern(request: UpstreamRequest, reply: Reply): GatewayError | null {
    const { envelope, body, edits } = request;
    if (this.#closing !== null) return this.#closing;
    if (envelope === null) return new GatewayError('GW_MCP_BATCH', 'this revision has no batches');
    const message = { body, envelope, edits };
    switch (place(envelope, ENVELOPE.kind)) {
      case KIND.request:
        this.#shared.request(message, reply, firstByteBoundMs(this.#core.spec, request));
        return null;
      case KIND.notification:
        this.#shared.notify(message, reply);
        return null;
      default:
        return new GatewayError('GW_MCP_MESSAGE', 'clients of this revision send requests and notifications');
    }
  }

  #legacy(request: UpstreamRequest, reply: Reply): GatewayError | null {
    const messages = this.#messagesOf(request);
    if (messages instanceof GatewayError) return messages;
    const asks = messages.some((message) => place(message.envelope, ENVELOPE.kind) === KIND.request);
    // While draining, answers to the server's questions still pass: calls under way may need them to end.
    if (asks && this.#closing !== null) return this.#closing;
    const firstByteMs = firstByteBoundMs(this.#core.spec, request);
    const [first] = messages;
    if (request.session !== null) {
      const session = this.#byId.get(request.session);
      session?.post(messages, reply, firstByteMs);
      return session === undefined ? new GatewayError('GW_SESSION_UNKNOWN') : null;
    }
    if (!asks || first === undefined || messages.length > 1) return new GatewayError('GW_SESSION_MISSING');
    if (isMethod(first, METHOD.initialize)) return this.#open(first, reply, firstByteMs);
    return isMethod(first, METHOD.ping) ? this.#pong(first, reply) : new GatewayError('GW_SESSION_MISSING');
  }

  #messagesOf(request: UpstreamRequest): readonly Message[] | GatewayError {
    const { envelope, body, edits } = request;
    return envelope === null ? splitBatch(this.#core.scanner, body) : [{ body, envelope, edits }];
  }

  /** GET and DELETE. */
  #onSession(request: UpstreamRequest, reply: Reply): GatewayError | null {
    if (request.session === null) return new GatewayError('GW_SESSION_MISSING');
    const session = this.#byId.get(request.session);
    if (session === undefined) return new GatewayError('GW_SESSION_UNKNOWN');
    if (request.verb === 'DELETE') {
      session.end(new GatewayError('GW_SESSION_UNKNOWN', 'the client ended it'));
      reply.empty(200);
      return null;
    }
    if (this.#closing === null) session.listen(reply);
    return this.#closing;
  }

  /** A ping outside any session asks about the gateway, not about a process that would have to be started for it. */
  #pong(ping: Message, reply: Reply): null {
    const id = spanOf(ping.body, ping.envelope, ENVELOPE.id);
    if (id !== null) reply.answer(response(id, '"result":{}'), [], 200, null);
    return null;
  }

  #open(initialize: Message, reply: Reply, firstByteMs: number): GatewayError | null {
    const { sessionsMax } = this.#options;
    if (this.#sessions.size >= sessionsMax)
      return new GatewayError('GW_SESSION_LIMIT', `${sessionsMax} are open`);
    const { random } = this.#core.runtime;
    let id = '';
    const session = new LegacySession(this.#core, this.#births, {
      onOpen: (opened) => {
        id = random.bytes(SESSION_ID_BYTES).toBase64({ alphabet: 'base64url', omitPadding: true });
        this.#byId.set(id, opened);
        this.#watchIdle(opened, this.#options.sessionIdleMs);
        return id;
      },
      onEnd: (ended) => {
        this.#byId.delete(id);
        this.#sessions.delete(ended);
      },
    });
    this.#sessions.add(session);
    session.initialize(initialize, reply, firstByteMs);
    return null;
  }

  #watchIdle(session: LegacySession, afterMs: number): void {
    this.#core.deadlines.set(afterMs, () => {
      if (!this.#sessions.has(session)) return;
      const leftMs = this.#options.sessionIdleMs - session.idleMs();
      if (leftMs > 0) return this.#watchIdle(session, leftMs);
      this.#core.log.info('ended an idle session');
      session.end(new GatewayError('GW_SESSION_UNKNOWN', 'it was idle for too long'));
    });
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
      this.#shared.endListens();
      for (const session of this.#sessions) session.endStream();
      await this.#until(() => this.#awaited() === 0, withinMs - stopMs);
      const graceMs = Math.max(0, (withinMs - (clock.now() - startedAt)) / 2);
      this.#shared.stop(closing, graceMs, graceMs);
      for (const session of [...this.#sessions]) session.end(closing, graceMs, graceMs);
    }
    const gone = (): boolean => this.#core.pipes.size === 0;
    await this.#until(gone, Math.max(0, withinMs - (clock.now() - startedAt)));
    for (const pipe of this.#core.pipes) pipe.kill();
    await this.#until(gone, GIVE_UP_MS);
    if (!gone())
      this.#core.log.error('a process of the MCP server did not end', { count: this.#core.pipes.size });
  }

  #awaited(): number {
    let count = this.#shared.awaited + this.#shared.waiting;
    for (const session of this.#sessions) count += session.awaited + session.waiting;
    return count;
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
