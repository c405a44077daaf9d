// The calls in flight on one child: gives each an id of its own on the pipe, and finds it again by what the child says.
// Called by stdio-shared.ts and stdio-session.ts. Promises: only spans of ids and tokens are replaced, every other byte
// passes as it came; the client's id comes back in its own spelling ("1" is not 1); each call ends exactly once.
import { assert } from '../base/assert.ts';
import { type Edit, encode, orderEdits, splicedLength } from '../base/bytes.ts';
import { GatewayError } from '../base/errors.ts';
import { member } from '../mcp/json.ts';
import { META, METHOD } from '../mcp/protocol.ts';
import { ENVELOPE, KIND } from '../scan/contract.ts';
import { tookTooLong } from './deadline.ts';
import type { MessagePipe, SessionCore } from './message-pipe.ts';
import type { Call, CallOptions, CancelReason } from './stdio-call.ts';
import { idKey, readId } from './stdio-ids.ts';
import {
  editOf,
  isAmbiguous,
  joinEdits,
  type Message,
  modernStatus,
  place,
  spanIs,
  spanOf,
} from './stdio-message.ts';
import type { Era } from './upstream.ts';

/** Whose calls a table holds: of modern clients, of one legacy session, or of many, whose progress tokens may be equal. */
export type TableKind = Era | 'legacy-shared';

/** The calls of one child, or of the children that follow one another in its place. */
export class CallTable {
  readonly #core: SessionCore;
  readonly #kind: TableKind;
  readonly #settled: () => void;
  readonly #calls = new Map<number, Call>();
  #pipe: MessagePipe | null = null;
  /** When a call that somebody wanted last ended; 0: none has. */
  usedAtMs = 0;

  /** `settled` is told whenever a call ended. */
  constructor(core: SessionCore, kind: TableKind, settled: () => void) {
    this.#core = core;
    this.#kind = kind;
    this.#settled = () => {
      settled();
      core.changed();
    };
  }

  /** Calls go to this child from now on. */
  attach(pipe: MessagePipe): void {
    assert(this.#calls.size === 0, 'a new child starts without calls');
    this.#pipe = pipe;
  }

  /** Calls that the child has not answered, those whose client left included. */
  get size(): number {
    return this.#calls.size;
  }

  /** Those without the ones in the background: what keeps a process from being ended as unused. */
  get wanted(): number {
    let count = 0;
    for (const { isBackground } of this.#calls.values()) if (!isBackground) count++;
    return count;
  }

  /** Calls that a client waits for, listens excluded: what a drain waits for. */
  get awaited(): number {
    let count = 0;
    for (const call of this.#calls.values()) if (call.reply.open && call.kind !== 'listen') count++;
    return count;
  }

  /** Every call in flight, oldest first. */
  all(): IterableIterator<Call> {
    return this.#calls.values();
  }

  /** Sends a request that fits a line (forLine). Null when it was refused; its reply was failed then. */
  send(message: Message, options: CallOptions): Call | null {
    const refuse = (error: GatewayError): null => {
      this.#core.deadlines.clear(options.deadline);
      options.reply.fail(error);
      return null;
    };
    const { body, envelope } = message;
    const idRaw = spanOf(body, envelope, ENVELOPE.id);
    if (idRaw === null) return refuse(new GatewayError('GW_MCP_MESSAGE', 'a request carries an id'));
    if (this.#calls.size >= this.#core.depthMax) {
      return refuse(new GatewayError('GW_UPSTREAM_BUSY', `${this.#calls.size} calls are in flight on it`));
    }
    const id = this.#freshId();
    const tokenRaw = spanOf(body, envelope, ENVELOPE.metaProgressToken);
    const name = encode(String(id));
    const own = [editOf(envelope, ENVELOPE.id, name)];
    if (tokenRaw !== null && this.#kind !== 'legacy')
      own.push(editOf(envelope, ENVELOPE.metaProgressToken, name));
    const edits = joinEdits(message.edits, own);
    if (edits instanceof GatewayError) return refuse(edits);
    const pipe = this.#pipe;
    if (pipe === null || !pipe.hasRoom(splicedLength(body.length, edits))) {
      return refuse(new GatewayError('GW_UPSTREAM_BUSY', 'it does not read what waits for it'));
    }
    const call: Call = {
      id,
      idRaw: idRaw.slice(),
      tokenRaw: tokenRaw === null ? null : tokenRaw.slice(),
      reply: options.reply,
      kind: this.#kindOf(body, envelope),
      asksLog: place(envelope, ENVELOPE.metaLogLevel) >= 0,
      deadline: options.deadline,
      endsAt: this.#core.runtime.clock.now() + this.#core.spec.totalTimeoutMs,
      isBackground: options.isBackground === true,
      begun: false,
      cancelled: false,
      onAnswer: options.onAnswer,
    };
    this.#calls.set(id, call);
    pipe.write(body, edits, {
      headers: message.headers,
      ordered: false,
      refused: (error, unsent) => this.#refused(call, options, error, unsent),
    });
    return call;
  }

  #refused(call: Call, options: CallOptions, error: GatewayError, unsent: boolean): void {
    if (this.#calls.get(call.id) !== call) return;
    if (options.onRefused === undefined) return this.#fail(call, error);
    this.#calls.delete(call.id);
    options.onRefused(error, unsent);
    this.#settled();
  }

  /** The call that the gateway's id names, as the child spelled it; null when it is none of ours. */
  byId(line: Uint8Array, envelope: Int32Array, at: number): Call | null {
    return this.#calls.get(readId(line, place(envelope, at), place(envelope, at + 1))) ?? null;
  }

  /** The newest call with this progress token of the client (tokens kept as they are); never initialize, which has no stream. */
  byToken(raw: Uint8Array): Call | null {
    const key = idKey(raw);
    let found: Call | null = null;
    for (const call of this.#calls.values()) {
      if (call.kind === 'initialize' || call.tokenRaw === null || !call.reply.open) continue;
      if (idKey(call.tokenRaw) === key) found = call;
    }
    return found;
  }

  /** The newest call with this id of the client. */
  byClientId(raw: Uint8Array): Call | null {
    const key = idKey(raw);
    let found: Call | null = null;
    for (const call of this.#calls.values()) if (idKey(call.idRaw) === key) found = call;
    return found;
  }

  /** A message that belongs to a call and does not end it. */
  event(call: Call, line: Uint8Array, edits: readonly Edit[]): void {
    this.#pipe?.answered?.();
    if (!call.begun && !call.cancelled) this.#extend(call);
    call.begun = true;
    call.reply.event(line, edits);
  }

  /** A sign of life: the first message was in time, and from here on the whole has to be. */
  #extend(call: Call): void {
    const { deadlines, runtime, spec } = this.#core;
    deadlines.clear(call.deadline);
    call.deadline = null;
    if (call.kind !== 'plain') return;
    call.deadline = deadlines.set(call.endsAt - runtime.clock.now(), () => {
      if (!call.reply.lasting) this.expire(call, tookTooLong(spec.totalTimeoutMs));
    });
  }

  /** An answer of the child: ends the call it names. False when it names none. */
  answer(line: Uint8Array, envelope: Int32Array): boolean {
    const call = this.byId(line, envelope, ENVELOPE.id);
    if (call === null) return false;
    this.#pipe?.answered?.();
    if (isAmbiguous(envelope)) {
      this.#fail(call, new GatewayError('GW_UPSTREAM_MESSAGE', 'a key of the reply appears twice'));
      return true;
    }
    const sessionId = call.onAnswer?.(line, envelope) ?? null;
    const failed = place(envelope, ENVELOPE.kind) === KIND.error;
    const status = failed && this.#kind === 'modern' ? modernStatus(line, envelope) : 200;
    this.#forget(call);
    call.reply.answer(line, this.#answerEdits(call, line, envelope), status, sessionId);
    this.#settled();
    return true;
  }

  /** The client cancelled the call: after `graceMs` its stream ends, unless the child still answers. */
  awaitLate(call: Call, graceMs: number): void {
    this.#core.deadlines.clear(call.deadline);
    call.cancelled = true;
    call.deadline = this.#core.deadlines.set(graceMs, () => this.finish(call));
  }

  /** Cancels a call at the child and forgets it: what the child still says about it reaches nobody. */
  cancel(call: Call, reason: CancelReason): void {
    if (!this.#forget(call)) return;
    this.#pipe?.write(
      encode(
        `{"jsonrpc":"2.0","method":"${METHOD.cancelled}","params":{"requestId":${call.id},"reason":"${reason}"}}`,
      ),
      [],
    );
    this.#settled();
  }

  /** What was to come did not come in time. */
  expire(call: Call, detail = ''): void {
    if (!this.#calls.has(call.id)) return;
    // The specification forbids to cancel initialize; its child is ended instead (by the session).
    if (call.kind === 'initialize') this.#forget(call);
    else this.cancel(call, 'no reply in time');
    call.reply.fail(new GatewayError('GW_UPSTREAM_TIMEOUT', detail));
    this.#settled();
  }

  /** Ends the call without an answer: its stream ends, and what the child still says is dropped. */
  finish(call: Call): void {
    if (!this.#forget(call)) return;
    call.reply.end();
    this.#settled();
  }

  /** Fails every call, as the child's end does; never with an error that invites to send again what the child may have executed. */
  failAll(error: GatewayError): void {
    this.#pipe = null;
    const told = this.#told(error);
    for (const call of [...this.#calls.values()]) this.#fail(call, told);
  }

  /** Cancels a call at the child and fails it, as failAll() does. */
  giveUp(call: Call, error: GatewayError): void {
    this.cancel(call, 'the client left');
    call.reply.fail(this.#told(error));
  }

  #told(error: GatewayError): GatewayError {
    const isSafe = error.row.retry === 'safe';
    return isSafe ? new GatewayError(this.#core.letGoCode, 'the gateway let go of it first') : error;
  }

  #fail(call: Call, error: GatewayError): void {
    this.#forget(call);
    call.reply.fail(error);
    this.#settled();
  }

  #forget(call: Call): boolean {
    this.#core.deadlines.clear(call.deadline);
    call.deadline = null;
    if (!call.isBackground) this.usedAtMs = this.#core.runtime.clock.now();
    return this.#calls.delete(call.id);
  }

  #answerEdits(call: Call, line: Uint8Array, envelope: Int32Array): readonly Edit[] {
    const edits = [editOf(envelope, ENVELOPE.id, call.idRaw)];
    if (call.kind !== 'listen') return edits;
    // The result that ends a listen names the subscription, which is the listen's id on the pipe.
    const start = place(envelope, ENVELOPE.resultMeta);
    const tag = start < 0 || line[start] !== 0x7b ? null : member(line, start, META.subscriptionId);
    if (tag === null || readId(line, tag.start, tag.end) !== call.id) return edits;
    return orderEdits([...edits, { start: tag.start, end: tag.end, insert: call.idRaw }]);
  }

  #kindOf(body: Uint8Array, envelope: Int32Array): Call['kind'] {
    if (this.#kind === 'modern')
      return spanIs(body, envelope, ENVELOPE.method, METHOD.listen) ? 'listen' : 'plain';
    return spanIs(body, envelope, ENVELOPE.method, METHOD.initialize) ? 'initialize' : 'plain';
  }

  #freshId(): number {
    let id = this.#core.ids.next();
    while (this.#calls.has(id)) id = this.#core.ids.next();
    return id;
  }
}
