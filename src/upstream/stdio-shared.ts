// The modern side of a stdio server: one child for many clients, with many calls in flight.
// Called by stdio.ts. Promises: what the child says reaches only the client whose id, progress token or subscription it
// names; what names nobody goes to the one call that can have caused it, else to nobody; a client that leaves is
// cancelled at the child; a child that ends fails its calls and is replaced for the next one.
import { GatewayError, RPC } from '../base/errors.ts';
import { METHOD } from '../mcp/protocol.ts';
import { ENVELOPE } from '../scan/contract.ts';
import type { Call } from './stdio-call.ts';
import type { CallTable } from './stdio-calls.ts';
import type { StdioCore } from './stdio-core.ts';
import { Keeper, type Shift } from './stdio-keeper.ts';
import {
  type ChildVoice,
  editOf,
  forLine,
  isAmbiguous,
  isMethod,
  type Message,
  methodOf,
  place,
  response,
  spanIs,
  spanOf,
} from './stdio-message.ts';
import type { Reply } from './stdio-reply.ts';

/** Requests that a server answers at once, however new it is. */
const PROMPT: ReadonlySet<string> = new Set([
  METHOD.discover,
  METHOD.toolsList,
  METHOD.promptsList,
  METHOD.resourcesList,
  METHOD.templatesList,
]);

/** The child that modern requests share. */
export class SharedChild {
  readonly #core: StdioCore;
  readonly #keeper: Keeper;

  constructor(core: StdioCore) {
    this.#core = core;
    this.#keeper = new Keeper(core, {
      kind: 'modern',
      voiceOf: (shift) => new ModernVoice(core, shift),
      prepare: (_shift, ready) => ready(),
      isWanted: () => false,
      onOver: () => undefined,
    });
  }

  /** Its process, and who waits for it. */
  get keeper(): Keeper {
    return this.#keeper;
  }

  /** Sends a request; `firstByteMs` bounds the wait for its first message, listens excepted. `isBackground` as UpstreamRequest has it. */
  request(message: Message, reply: Reply, firstByteMs: number, isBackground = false): void {
    const fit = forLine(message);
    if (fit instanceof GatewayError) {
      reply.fail(fit);
      return;
    }
    const { cell, deadlines, keep } = this.#core;
    if (this.#keeper.current !== null) cell.bumpReuses();
    else if (isBackground) {
      reply.fail(
        new GatewayError('GW_UPSTREAM_CLOSED', 'its process does not run, and is not started for this'),
      );
      return;
    }
    let sent: { readonly call: Call | null; readonly calls: CallTable } | null = null;
    const exempt = isMethod(message, METHOD.listen);
    const deadline = exempt ? null : deadlines.set(firstByteMs, () => expire());
    const waiter = {
      ready: ({ calls, pipe }: Shift) => {
        sent = { call: calls.send(fit, { reply, deadline, onAnswer: null, isBackground }), calls };
        if (!pipe.hasAnswered && PROMPT.has(methodOf(fit.body, fit.envelope))) pipe.awaitAnswer(keep.startMs);
      },
      failed: (error: GatewayError) => {
        deadlines.clear(deadline);
        reply.fail(error);
      },
    };
    const expire = (): void => {
      this.#keeper.withdraw(waiter);
      if (sent === null) {
        reply.fail(new GatewayError('GW_UPSTREAM_TIMEOUT', 'its process did not start in time'));
      } else if (sent.call !== null) sent.calls.expire(sent.call);
    };
    reply.ownedBy({
      onLeft: () => {
        this.#keeper.withdraw(waiter);
        deadlines.clear(deadline);
        if (sent !== null && sent.call !== null) sent.calls.cancel(sent.call, 'the client left');
      },
    });
    this.#keeper.use(waiter);
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
    this.#keeper.use({
      ready: ({ pipe }) => {
        if (!pipe.hasRoom(fit.body.length)) return reply.fail(new GatewayError('GW_UPSTREAM_BUSY'));
        pipe.write(fit.body, fit.edits);
        reply.empty(202);
      },
      failed: (error) => reply.fail(error),
    });
  }
}

/** Where what a modern child says goes. */
class ModernVoice implements ChildVoice {
  readonly #core: StdioCore;
  readonly #shift: Shift;

  constructor(core: StdioCore, shift: Shift) {
    this.#core = core;
    this.#shift = shift;
  }

  onAnswer(line: Uint8Array, envelope: Int32Array): void {
    if (!this.#shift.calls.answer(line, envelope))
      this.#core.log.debug('dropped a reply that no call waits for');
  }

  /** Modern servers send no requests (2026-07-28 §messages); one that does must not wait for ever. */
  onRequest(line: Uint8Array, envelope: Int32Array): void {
    const id = spanOf(line, envelope, ENVELOPE.id);
    if (id === null || isAmbiguous(envelope)) return;
    const outcome = spanIs(line, envelope, ENVELOPE.method, METHOD.ping)
      ? '"result":{}'
      : `"error":{"code":${RPC.methodNotFound},"message":"A server of this revision sends no requests"}`;
    this.#core.log.debug('answered a request of the MCP server', { method: methodOf(line, envelope) });
    this.#shift.pipe.write(response(id, outcome), []);
  }

  onNotification(line: Uint8Array, envelope: Int32Array): void {
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
    this.#shift.calls.event(call, line, []);
  }

  #toListen(line: Uint8Array, envelope: Int32Array, method: string): void {
    const call = this.#shift.calls.byId(line, envelope, ENVELOPE.metaSubscriptionId);
    if (call?.kind !== 'listen') {
      this.#drop(method, 'its subscription is not open');
      return;
    }
    this.#shift.calls.event(call, line, [editOf(envelope, ENVELOPE.metaSubscriptionId, call.idRaw)]);
  }

  #toToken(line: Uint8Array, envelope: Int32Array): void {
    const call = this.#shift.calls.byId(line, envelope, ENVELOPE.progressToken);
    if (call === null || call.tokenRaw === null) {
      this.#drop(METHOD.progress, 'its token is of no call in flight');
      return;
    }
    this.#shift.calls.event(call, line, [editOf(envelope, ENVELOPE.progressToken, call.tokenRaw)]);
  }

  /** The child ends a listen: its stream carries the notification and ends. */
  #tearDown(line: Uint8Array, envelope: Int32Array): void {
    const call = this.#shift.calls.byId(line, envelope, ENVELOPE.requestId);
    if (call?.kind !== 'listen') {
      this.#drop(METHOD.cancelled, 'it names no open listen');
      return;
    }
    this.#shift.calls.event(call, line, [editOf(envelope, ENVELOPE.requestId, call.idRaw)]);
    this.#shift.calls.finish(call);
  }

  /**
   * The only call that can have caused a notification that names none, or null. Log messages are sent only to requests
   * that asked for them, so one asker among many is enough; anything else needs to be alone on the pipe.
   */
  #cause(method: string): Call | null {
    const logs = method === 'notifications/message';
    let found: Call | null = null;
    for (const call of this.#shift.calls.all()) {
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
