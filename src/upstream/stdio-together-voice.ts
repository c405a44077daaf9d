// Where what a child that legacy sessions share says goes.
// Called by stdio-keeper.ts (through stdio-together.ts). Promises: what names a call goes to its session, what concerns all goes to all; what names
// nobody goes to the one session whose calls are running, since it alone can have caused it, else to nobody.
import { RPC } from '../base/errors.ts';
import { METHOD } from '../mcp/protocol.ts';
import { ENVELOPE } from '../scan/contract.ts';
import type { Call } from './stdio-call.ts';
import type { StdioCore } from './stdio-core.ts';
import type { Shift } from './stdio-keeper.ts';
import { type ChildVoice, editOf, isAmbiguous, methodOf, response, spanOf } from './stdio-message.ts';
import { newestOf, Share } from './stdio-share.ts';
import { TogetherSession } from './stdio-together-session.ts';
import { levelIn, uriIn } from './stdio-wishes.ts';

/** Capability that a client must have declared to be asked this. */
const NEEDED: Readonly<Record<string, string>> = Object.freeze({
  [METHOD.elicit]: 'elicitation',
  [METHOD.sample]: 'sampling',
  [METHOD.rootsList]: 'roots',
});

/** A running call and whose it is. */
interface Owned {
  readonly call: Call;
  readonly session: TogetherSession;
}

function ownerOf(call: Call): TogetherSession | null {
  const { reply } = call;
  return reply instanceof Share && reply.owner instanceof TogetherSession ? reply.owner : null;
}

/** Who may hear something. */
export interface Audience {
  readonly members: ReadonlySet<TogetherSession>;
  /** True while the child may be at work on what another session than this one has given up. */
  isAtWorkForOthers(session: TogetherSession): boolean;
}

/** Hears one child. */
export class TogetherVoice implements ChildVoice {
  readonly #core: StdioCore;
  readonly #members: ReadonlySet<TogetherSession>;
  readonly #isAtWorkForOthers: (session: TogetherSession) => boolean;
  readonly #shift: Shift;

  constructor(core: StdioCore, audience: Audience, shift: Shift) {
    this.#core = core;
    this.#members = audience.members;
    this.#isAtWorkForOthers = (session) => audience.isAtWorkForOthers(session);
    this.#shift = shift;
  }

  onAnswer(line: Uint8Array, envelope: Int32Array): void {
    if (!this.#shift.calls.answer(line, envelope))
      this.#core.log.debug('dropped a reply that no call waits for');
  }

  onRequest(line: Uint8Array, envelope: Int32Array): void {
    const id = spanOf(line, envelope, ENVELOPE.id);
    if (id === null || isAmbiguous(envelope)) return;
    const method = methodOf(line, envelope);
    if (method === METHOD.ping) return this.#shift.pipe.write(response(id, '"result":{}'), []);
    const cause = this.#cause();
    if (cause === null)
      return this.#refuse(
        id,
        RPC.internal,
        'The gateway cannot tell which client this is for: ask while one client has calls running',
      );
    const needed = NEEDED[method];
    if (needed === undefined || !cause.session.capabilities.has(needed))
      return this.#refuse(id, RPC.methodNotFound, 'The client did not declare that it can do this');
    if (!cause.session.asked.add(this.#shift, id, line, cause.call.reply))
      return this.#refuse(id, RPC.internal, 'Too many requests wait for an answer of this client');
    this.#shift.calls.event(cause.call, line, []);
  }

  onNotification(line: Uint8Array, envelope: Int32Array): void {
    const method = methodOf(line, envelope);
    if (isAmbiguous(envelope)) return this.#drop(method, 'a key appears twice');
    if (method === METHOD.progress) return this.#toToken(line, envelope);
    if (method === METHOD.cancelled) return this.#withdrawn(line, envelope);
    if (method.endsWith('/list_changed')) {
      for (const { inbox } of this.#members) inbox.put(line);
      return;
    }
    if (method === METHOD.resourceUpdated) {
      const uri = uriIn(line, envelope);
      for (const { inbox, wishes } of this.#members)
        if (uri !== null && wishes.wantsNewsOf(uri)) inbox.put(line);
      return;
    }
    const cause = this.#cause();
    if (cause === null) return this.#drop(method, 'it names no call');
    if (method === METHOD.logMessage && !cause.session.wishes.wantsLog(levelIn(line, envelope)))
      return this.#drop(method, 'it is below the level that its client set');
    this.#shift.calls.event(cause.call, line, []);
  }

  #toToken(line: Uint8Array, envelope: Int32Array): void {
    const call = this.#shift.calls.byId(line, envelope, ENVELOPE.progressToken);
    if (call === null || call.tokenRaw === null)
      return this.#drop(METHOD.progress, 'its token is of no call in flight');
    this.#shift.calls.event(call, line, [editOf(envelope, ENVELOPE.progressToken, call.tokenRaw)]);
  }

  #withdrawn(line: Uint8Array, envelope: Int32Array): void {
    const id = spanOf(line, envelope, ENVELOPE.requestId);
    if (id === null) return;
    for (const member of this.#members) {
      const stream = member.asked.withdrawn(this.#shift, id);
      if (stream === undefined) continue;
      if (stream?.open === true) stream.event(line, []);
      else member.inbox.put(line);
      return;
    }
    this.#drop(METHOD.cancelled, 'it names no request that waits');
  }

  /** The one session whose calls are running, and that of its calls on which its client hears; null when several may be meant, or nobody hears. */
  #cause(): Owned | null {
    const { calls } = this.#shift;
    let session: TogetherSession | null = null;
    for (const call of calls.all()) {
      const owner = ownerOf(call);
      if (owner === null) continue;
      if (session !== null && owner !== session) return null;
      session = owner;
    }
    const call = newestOf(calls.all(), session);
    if (session === null || call === null || this.#isAtWorkForOthers(session)) return null;
    return { call, session };
  }

  #refuse(id: Uint8Array, code: number, message: string): void {
    this.#core.log.debug('refused a request of the MCP server', { message });
    this.#shift.pipe.write(response(id, `"error":${JSON.stringify({ code, message })}`), []);
  }

  #drop(method: string, reason: string): void {
    this.#core.log.debug('dropped a notification of the MCP server', { method, reason });
  }
}
