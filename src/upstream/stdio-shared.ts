// The modern side of a stdio server: one child for everyone, started on demand, many calls in flight.
// Called by stdio.ts. Promises: what the child says reaches only the client whose id, progress token or subscription it
// names; what names nobody goes to the one call that can have caused it, else to nobody; a client that leaves is
// cancelled at the child; a child that ends fails its calls and is replaced for the next one.
import { GatewayError, RPC } from '../base/errors.ts';
import { METHOD } from '../mcp/protocol.ts';
import { ENVELOPE } from '../scan/contract.ts';
import { type Call, CallTable } from './stdio-calls.ts';
import type { ChildPipe } from './stdio-child.ts';
import type { StdioCore } from './stdio-core.ts';
import {
  editOf,
  forLine,
  isAmbiguous,
  isMethod,
  type Message,
  MessageReader,
  methodOf,
  place,
  response,
  spanIs,
  spanOf,
} from './stdio-message.ts';
import type { Reply } from './stdio-reply.ts';
import { Backoff, Supervisor } from './supervise.ts';

/** The child that all modern requests share. */
export class SharedChild {
  readonly #core: StdioCore;
  readonly #calls: CallTable;
  readonly #supervisor: Supervisor<ChildPipe>;
  #pipe: ChildPipe | null = null;

  constructor(core: StdioCore) {
    const { clock, random } = core.runtime;
    this.#core = core;
    this.#calls = new CallTable(core, 'modern', () => undefined);
    this.#supervisor = new Supervisor(clock, new Backoff(clock, random), core.depthMax, (opened, failed) => {
      try {
        opened(this.#start());
      } catch (thrown) {
        if (!(thrown instanceof GatewayError)) throw thrown;
        core.cell.bumpFailures();
        failed(thrown);
      }
    });
  }

  /** Calls that clients wait for. */
  get awaited(): number {
    return this.#calls.awaited;
  }

  /** Calls that wait for a start. */
  get waiting(): number {
    return this.#supervisor.waiting;
  }

  /** True when its process has calls in flight. */
  get busy(): boolean {
    return this.#calls.size > 0;
  }

  /** Sends a request; `firstByteMs` bounds the wait for its first message, listens excepted. */
  request(message: Message, reply: Reply, firstByteMs: number): void {
    const fit = forLine(message);
    if (fit instanceof GatewayError) {
      reply.fail(fit);
      return;
    }
    if (this.#supervisor.current !== null) this.#core.cell.bumpReuses();
    let call: Call | null = null;
    const exempt = isMethod(message, METHOD.listen);
    const deadline = exempt ? null : this.#core.deadlines.set(firstByteMs, () => expire());
    const waiter = {
      ready: () => {
        call = this.#calls.send(fit, { reply, deadline, onAnswer: null });
      },
      failed: (error: GatewayError) => {
        this.#core.deadlines.clear(deadline);
        reply.fail(error);
      },
    };
    const expire = (): void => {
      this.#supervisor.withdraw(waiter);
      if (call !== null) {
        this.#calls.expire(call);
        return;
      }
      reply.fail(new GatewayError('GW_UPSTREAM_TIMEOUT', 'its process did not start in time'));
    };
    reply.ownedBy({
      onLeft: () => {
        this.#supervisor.withdraw(waiter);
        this.#core.deadlines.clear(deadline);
        if (call !== null) this.#calls.cancel(call, 'the client left');
      },
    });
    this.#supervisor.use(waiter);
  }

  /**
   * Sends a client's notification. `notifications/cancelled` is taken but not passed on: the id in it is the client's,
   * and on a shared pipe another client may use the same one. A modern client cancels by leaving (abort).
   */
  notify(message: Message, reply: Reply): void {
    if (isMethod(message, METHOD.cancelled)) {
      reply.empty(202);
      return;
    }
    const fit = forLine(message);
    if (fit instanceof GatewayError) {
      reply.fail(fit);
      return;
    }
    this.#supervisor.use({
      ready: (pipe) => {
        if (!pipe.hasRoom(fit.body.length)) return reply.fail(new GatewayError('GW_UPSTREAM_BUSY'));
        pipe.write(fit.body, fit.edits);
        reply.empty(202);
      },
      failed: (error) => reply.fail(error),
    });
  }

  /** Ends every listen: they never end by themselves. */
  endListens(): void {
    for (const call of [...this.#calls.all()]) if (call.kind === 'listen') this.#calls.finish(call);
  }

  /** Fails what is in flight, stops the child with the graces given in ms, and starts none again. */
  stop(error: GatewayError, stopGraceMs: number, killGraceMs: number): void {
    this.#supervisor.close(error);
    this.#calls.failAll(error);
    this.#pipe?.stop(stopGraceMs, killGraceMs);
  }

  #start(): ChildPipe {
    const reader = new MessageReader(this.#core.scanner, this.#core.log, {
      onAnswer: (line, envelope) => {
        if (!this.#calls.answer(line, envelope))
          this.#core.log.debug('dropped a reply that no call waits for');
      },
      onRequest: (line, envelope) => this.#refuseRequest(line, envelope),
      onNotification: (line, envelope) => this.#onNotification(line, envelope),
    });
    const pipe = this.#core.start({
      onLine: (line) => reader.read(line),
      onGone: (reason, lived) => {
        this.#pipe = null;
        this.#supervisor.died(lived);
        this.#calls.failAll(new GatewayError('GW_UPSTREAM_EXITED', reason));
      },
    });
    this.#pipe = pipe;
    this.#calls.attach(pipe);
    return pipe;
  }

  /** Modern servers send no requests (2026-07-28 §messages); one that does must not wait for ever. */
  #refuseRequest(line: Uint8Array, envelope: Int32Array): void {
    const id = spanOf(line, envelope, ENVELOPE.id);
    if (id === null || isAmbiguous(envelope)) return;
    const outcome = spanIs(line, envelope, ENVELOPE.method, METHOD.ping)
      ? '"result":{}'
      : `"error":{"code":${RPC.methodNotFound},"message":"A server of this revision sends no requests"}`;
    this.#core.log.debug('answered a request of the MCP server', { method: methodOf(line, envelope) });
    this.#pipe?.write(response(id, outcome), []);
  }

  #onNotification(line: Uint8Array, envelope: Int32Array): void {
    const method = methodOf(line, envelope);
    if (isAmbiguous(envelope)) {
      this.#drop(method, 'a key appears twice');
      return;
    }
    if (place(envelope, ENVELOPE.metaSubscriptionId) >= 0) {
      this.#toListen(line, envelope, method);
      return;
    }
    if (method === METHOD.progress) {
      this.#toToken(line, envelope);
      return;
    }
    if (method === METHOD.cancelled) {
      this.#tearDown(line, envelope);
      return;
    }
    const call =
      method.endsWith('/list_changed') || method === METHOD.resourceUpdated ? null : this.#cause(method);
    if (call === null) {
      this.#drop(method, 'it names no call');
      return;
    }
    this.#calls.event(call, line, []);
  }

  #toListen(line: Uint8Array, envelope: Int32Array, method: string): void {
    const call = this.#calls.byId(line, envelope, ENVELOPE.metaSubscriptionId);
    if (call?.kind !== 'listen') {
      this.#drop(method, 'its subscription is not open');
      return;
    }
    this.#calls.event(call, line, [editOf(envelope, ENVELOPE.metaSubscriptionId, call.idRaw)]);
  }

  #toToken(line: Uint8Array, envelope: Int32Array): void {
    const call = this.#calls.byId(line, envelope, ENVELOPE.progressToken);
    if (call === null || call.tokenRaw === null) {
      this.#drop(METHOD.progress, 'its token is of no call in flight');
      return;
    }
    this.#calls.event(call, line, [editOf(envelope, ENVELOPE.progressToken, call.tokenRaw)]);
  }

  /** The child ends a listen: its stream carries the notification and ends. */
  #tearDown(line: Uint8Array, envelope: Int32Array): void {
    const call = this.#calls.byId(line, envelope, ENVELOPE.requestId);
    if (call?.kind !== 'listen') {
      this.#drop(METHOD.cancelled, 'it names no open listen');
      return;
    }
    this.#calls.event(call, line, [editOf(envelope, ENVELOPE.requestId, call.idRaw)]);
    this.#calls.finish(call);
  }

  /**
   * The only call that can have caused a notification that names none, or null. Log messages are sent only to requests
   * that asked for them, so one asker among many is enough; anything else needs to be alone on the pipe.
   */
  #cause(method: string): Call | null {
    const logs = method === 'notifications/message';
    let found: Call | null = null;
    for (const call of this.#calls.all()) {
      if (call.kind === 'listen' || (logs && !call.asksLog)) continue;
      if (found !== null) return null;
      found = call;
    }
    return found;
  }

  #drop(method: string, reason: string): void {
    this.#core.log.debug('dropped a notification of the MCP server', { method, reason });
  }
}
