// The calls in flight on one child: gives each an id of its own on the pipe, and finds it again by what the child says.
// Called by stdio-shared.ts and stdio-session.ts. Promises: only spans of ids and tokens are replaced, every other byte
// passes as it came; the client's id comes back in its own spelling ("1" is not 1); each call ends exactly once.
import { assert } from '../base/assert.ts';
import { decode, type Edit, encode, orderEdits, splicedLength } from '../base/bytes.ts';
import { GatewayError, RPC } from '../base/errors.ts';
import { member } from '../mcp/json.ts';
import { META, METHOD } from '../mcp/protocol.ts';
import { ENVELOPE, KIND } from '../scan/contract.ts';
import type { ChildPipe } from './stdio-child.ts';
import type { StdioCore } from './stdio-core.ts';
import type { Deadline } from './stdio-deadline.ts';
import { idKey, readId } from './stdio-ids.ts';
import { editOf, isAmbiguous, joinEdits, type Message, place, spanIs, spanOf } from './stdio-message.ts';
import type { CallReply } from './stdio-reply.ts';
import type { Era } from './upstream.ts';

/** Why a call is cancelled at the child, as its `reason`. */
export type CancelReason = 'the client left' | 'no reply in time';

/** One request in flight. */
export interface Call {
  /** Its id on the pipe; its progress token there too when tokens are replaced. */
  readonly id: number;
  /** The client's id, as spelled. */
  readonly idRaw: Uint8Array;
  /** The client's progress token as spelled, null when it gave none. */
  readonly tokenRaw: Uint8Array | null;
  readonly reply: CallReply;
  readonly kind: 'plain' | 'listen' | 'initialize';
  /** It asked for log messages (modern: `logLevel` in its metadata). */
  readonly asksLog: boolean;
  /** Until its first message; null when it has none or is past it. */
  deadline: Deadline | null;
  /** Its client cancelled it; `deadline` is then the end of the wait for a late reply. */
  cancelled: boolean;
  /** Told before the answer goes out; gives the session id that the reply's head carries. */
  readonly onAnswer: ((line: Uint8Array, envelope: Int32Array) => string | null) | null;
}

/** What a call is besides its message. */
export interface CallOptions {
  readonly reply: CallReply;
  readonly deadline: Deadline | null;
  readonly onAnswer: Call['onAnswer'];
}

/** HTTP status of a modern error that is the whole reply (MCP 2026-07-28 §transports, §errors). */
function modernStatus(line: Uint8Array, envelope: Int32Array): number {
  const raw = spanOf(line, envelope, ENVELOPE.errorCode);
  if (raw === null) return 200;
  switch (Number(decode(raw))) {
    case RPC.methodNotFound:
      return 404;
    case RPC.parse:
    case RPC.invalidRequest:
    case RPC.headerMismatch:
    case RPC.missingCapability:
    case RPC.unsupportedVersion:
      return 400;
    default:
      return 200;
  }
}

/** The calls of one child, or of the children that follow one another in its place. */
export class CallTable {
  readonly #core: StdioCore;
  readonly #era: Era;
  readonly #settled: () => void;
  readonly #calls = new Map<number, Call>();
  #pipe: ChildPipe | null = null;

  /** `settled` is told whenever a call ended. */
  constructor(core: StdioCore, era: Era, settled: () => void) {
    this.#core = core;
    this.#era = era;
    this.#settled = () => {
      settled();
      core.changed();
    };
  }

  /** Calls go to this child from now on. */
  attach(pipe: ChildPipe): void {
    assert(this.#calls.size === 0, 'a new child starts without calls');
    this.#pipe = pipe;
  }

  /** Calls that the child has not answered, those whose client left included. */
  get size(): number {
    return this.#calls.size;
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
      return refuse(
        new GatewayError('GW_UPSTREAM_BUSY', `${this.#calls.size} calls are in flight on its process`),
      );
    }
    const id = this.#freshId();
    const tokenRaw = spanOf(body, envelope, ENVELOPE.metaProgressToken);
    const name = encode(String(id));
    const own = [editOf(envelope, ENVELOPE.id, name)];
    if (tokenRaw !== null && this.#era === 'modern')
      own.push(editOf(envelope, ENVELOPE.metaProgressToken, name));
    const edits = joinEdits(message.edits, own);
    if (edits instanceof GatewayError) return refuse(edits);
    const pipe = this.#pipe;
    if (pipe === null || !pipe.hasRoom(splicedLength(body.length, edits))) {
      return refuse(new GatewayError('GW_UPSTREAM_BUSY', 'its process does not read what waits for it'));
    }
    const call: Call = {
      id,
      idRaw: idRaw.slice(),
      tokenRaw: tokenRaw === null ? null : tokenRaw.slice(),
      reply: options.reply,
      kind: this.#kindOf(body, envelope),
      asksLog: place(envelope, ENVELOPE.metaLogLevel) >= 0,
      deadline: options.deadline,
      cancelled: false,
      onAnswer: options.onAnswer,
    };
    this.#calls.set(id, call);
    pipe.write(body, edits);
    return call;
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
    if (!call.cancelled) {
      this.#core.deadlines.clear(call.deadline);
      call.deadline = null;
    }
    call.reply.event(line, edits);
  }

  /** An answer of the child: ends the call it names. False when it names none. */
  answer(line: Uint8Array, envelope: Int32Array): boolean {
    const call = this.byId(line, envelope, ENVELOPE.id);
    if (call === null) return false;
    if (isAmbiguous(envelope)) {
      this.#fail(call, new GatewayError('GW_UPSTREAM_MESSAGE', 'a key of the reply appears twice'));
      return true;
    }
    const sessionId = call.onAnswer?.(line, envelope) ?? null;
    const failed = place(envelope, ENVELOPE.kind) === KIND.error;
    const status = failed && this.#era === 'modern' ? modernStatus(line, envelope) : 200;
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

  /** The first message did not come in time. */
  expire(call: Call): void {
    if (!this.#calls.has(call.id)) return;
    // The specification forbids to cancel initialize; its child is ended instead (by the session).
    if (call.kind === 'initialize') this.#forget(call);
    else this.cancel(call, 'no reply in time');
    call.reply.fail(new GatewayError('GW_UPSTREAM_TIMEOUT'));
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
    const told =
      error.row.retry === 'safe'
        ? new GatewayError('GW_UPSTREAM_EXITED', 'the gateway let go of it first')
        : error;
    for (const call of [...this.#calls.values()]) this.#fail(call, told);
  }

  #fail(call: Call, error: GatewayError): void {
    this.#forget(call);
    call.reply.fail(error);
    this.#settled();
  }

  #forget(call: Call): boolean {
    this.#core.deadlines.clear(call.deadline);
    call.deadline = null;
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
    if (this.#era === 'modern')
      return spanIs(body, envelope, ENVELOPE.method, METHOD.listen) ? 'listen' : 'plain';
    return spanIs(body, envelope, ENVELOPE.method, METHOD.initialize) ? 'initialize' : 'plain';
  }

  #freshId(): number {
    let id = this.#core.ids.next();
    while (this.#calls.has(id)) id = this.#core.ids.next();
    return id;
  }
}
