// One HTTP/1.1 connection to an MCP server: carries one exchange at a time, and says whether it can carry another.
// Called by the runtime (socket events) and by pool.ts. Promises: bytes that no exchange asked for close the connection and reach nobody;
// a request that may have been executed is never sent twice; a slot can serve again only after its socket's last event.
// A state machine (connecting, busy, idle, lost) over socket events, hence its length.
//
// When a connection dies before any byte of the reply: nothing was written → the request moves to a fresh connection, once. Something was
// written → the server may have executed it (it may have read all of it and died while answering), so a POST fails for good; only GET
// (opens a stream) and DELETE (ends a session), which may run twice, move on. Pooled connections are closed before the server would
// close them, so this stays rare.
import { concat } from '../base/bytes.ts';
import { type ErrorCode, GatewayError } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import type { Log } from '../observe/log.ts';
import type { Clock, Socket, SocketHandler } from '../runtime/runtime.ts';
import type { Scanner } from '../scan/contract.ts';
import { firstByteBoundMs, tookTooLong } from './deadline.ts';
import type { CallHolder, HttpCall } from './http-call.ts';
import { READ, ReplyReader } from './http-reader.ts';
import { RequestSender, SENT } from './http-sender.ts';
import { findHeader, keepAliveMs } from './reply-head.ts';
import type { RequestHead } from './request-head.ts';
import type { ServerSpec } from './spec.ts';

/** What all connections of one upstream share. `head` is overwritten by each parse: nothing may be read from it later. */
export interface Wire {
  readonly spec: ServerSpec;
  readonly scanner: Scanner;
  readonly head: Int32Array;
  readonly request: RequestHead;
  readonly log: Log;
  readonly clock: Pick<Clock, 'now' | 'soon'>;
}

/** What a connection tells its pool. Each is called after the connection has let go of its call. */
export interface ConnectionOwner {
  /** Open, and without a call: give it one or keep it. */
  connectionFree(connection: HttpConnection): void;
  /** No longer usable; its place is free. */
  connectionLost(connection: HttpConnection): void;
  /** The runtime will send no more events: the object can serve again. */
  connectionQuiet(connection: HttpConnection): void;
  /** Nothing of this call can have been executed: it wants a fresh connection. Its own is lost right afterwards. */
  callAgain(call: HttpCall): void;
  callFailed(call: HttpCall, error: GatewayError): void;
  connected(): void;
  /** It carries a stream that lasts; false when there are too many of these. Its end is told by connectionShortLived(). */
  connectionLongLived(): boolean;
  connectionShortLived(): void;
  /** It sent bytes that belong to no exchange. */
  misbehaved(): void;
}

/** Life of a connection. `lost`: closed as far as the pool knows, events may still come. */
export type ConnectionState = 'lost' | 'connecting' | 'idle' | 'busy';

/** A stream that lasts longer is a subscription rather than a reply with progress. */
const LONG_STREAM_MS = 1_000;

/** How the peer ended the connection while its bytes were waiting for a paused reader. */
const ENDING = Object.freeze({ no: 0, clean: 1, broken: 2 });

/** One slot of the pool. */
export class HttpConnection implements SocketHandler, CallHolder {
  state: ConnectionState = 'lost';
  call: HttpCall | null = null;
  /** Exchanges completed on it. */
  served = 0;
  private readonly wire: Wire;
  private readonly owner: ConnectionOwner;
  private readonly sender: RequestSender;
  private readonly reader: ReplyReader;
  private socket: Socket | null = null;
  /** The runtime's last event came. */
  private quiet = true;
  /** How long it may stay idle, and whether the server was heard on that. */
  private idleMs: number = LIMITS.connectionIdleMs;
  private keepAliveKnown = false;
  /** When it began to be made. */
  private openingMs = 0;
  /** Time of the sweep that first saw the present silence (connecting, idle, or between bytes of a body); 0 until then. */
  private quietSinceMs = 0;
  /** It has carried one exchange, or was opened for nobody: the server may have closed it meanwhile. */
  private pooled = false;
  /** It carries a stream that lasts, which does not count against the bound of connections. */
  private longLived = false;
  private paused = false;
  private backlog: Uint8Array[] = [];
  private ending: number = ENDING.no;

  constructor(wire: Wire, owner: ConnectionOwner) {
    this.wire = wire;
    this.owner = owner;
    this.sender = new RequestSender(wire.request);
    this.reader = new ReplyReader(wire.scanner, wire.head);
  }

  /** Makes the slot ready for a new socket, whose first exchange is `call`. The caller connects. */
  prepare(call: HttpCall): void {
    this.state = 'connecting';
    this.call = call;
    this.served = 0;
    this.pooled = false;
    this.idleMs = LIMITS.connectionIdleMs;
    this.keepAliveKnown = false;
    this.quiet = false;
    this.openingMs = this.wire.clock.now();
    call.holder = this;
  }

  /** Sends a call's request; the connection is open and free. Failures come to the call after this turn. */
  begin(call: HttpCall): void {
    this.state = 'busy';
    this.call = call;
    call.holder = this;
    this.quietSinceMs = 0;
    const outcome = this.trySend(call);
    if (outcome === SENT.ok) call.request.marks?.sent(this.wire.clock.now());
    else if (outcome === SENT.closed) this.closedInSilence(call);
    else if (outcome === SENT.refused) {
      this.release();
      this.failSoon(
        call,
        new GatewayError('GW_BASE_INTERNAL', 'a header or an edit cannot be sent to the MCP server'),
      );
    }
  }

  private trySend(call: HttpCall): number {
    if (this.socket === null) return SENT.closed;
    try {
      return this.sender.send(this.socket, call.request);
    } catch (thrown) {
      // Edits that do not fit the body: a fault of the caller, but send() never throws.
      this.wire.log.error('cannot put a request together', { fault: String(thrown) });
      return SENT.refused;
    }
  }

  // ── socket events ──────────────────────────────────────────────────────────────────────────────

  onOpen(socket: Socket): void {
    if (this.state !== 'connecting') {
      socket.destroy();
      return;
    }
    this.socket = socket;
    this.owner.connected();
    const { call } = this;
    if (call === null) return this.release();
    this.noteConnect(call);
    this.begin(call);
  }

  onConnectError(error: string, tls: boolean): void {
    const call = this.call;
    this.quiet = true;
    if (this.state === 'lost') this.owner.connectionQuiet(this);
    else this.lose();
    if (call === null) return;
    this.noteConnect(call);
    const code = tls ? 'GW_UPSTREAM_TLS' : 'GW_UPSTREAM_CONNECT';
    this.owner.callFailed(call, new GatewayError(code, `"${this.wire.spec.name}": ${error}`));
  }

  private noteConnect(call: HttpCall): void {
    call.request.marks?.connected(this.wire.clock.now() - this.openingMs);
  }

  onDrain(): void {
    if (this.state === 'busy' && this.socket !== null) this.sender.flush(this.socket);
  }

  onData(bytes: Uint8Array): void {
    if (this.state === 'busy' && this.call !== null) {
      if (this.paused || this.backlog.length > 0) this.backlog.push(bytes);
      else this.receive(this.call, bytes);
    } else if (this.state === 'idle') {
      this.reportJunk();
      this.lose();
    }
  }

  onEnd(): void {
    if (this.state !== 'lost') this.closed(false);
  }

  onClose(error: string | null): void {
    this.quiet = true;
    if (this.state === 'lost') this.owner.connectionQuiet(this);
    else this.closed(error !== null);
  }

  // ── reply ──────────────────────────────────────────────────────────────────────────────────────

  private receive(call: HttpCall, bytes: Uint8Array): void {
    this.quietSinceMs = 0;
    const reader = this.reader;
    const event = reader.feed(bytes);
    if (event === READ.head) {
      call.request.marks?.replied(this.wire.clock.now(), reader.complete);
      if (!this.keepAliveKnown) this.learnKeepAlive(reader.headBytes);
      call.takeHead(reader.headBytes, this.wire.head, reader.length);
      call.whole = reader.complete;
      // A reply that is whole is out of reach of abort(): the connection need not be closed for it.
      if (reader.complete) call.holder = null;
      call.head(reader.headBytes, this.wire.head);
    }
    if (reader.complete) {
      this.finish(call);
      return;
    }
    if (event === READ.head) {
      call.requestTaken();
      if (reader.streaming && call.request.verb === 'GET') this.outlive(call);
    }
    this.deliver(call);
  }

  /** The exchange is a stream that lasts: the place is given to others. */
  private outlive(call: HttpCall): void {
    if (!this.longLived && this.call === call) this.longLived = this.owner.connectionLongLived();
  }

  /** The reply is complete. The connection is free before the sink hears of it, so that whatever the sink does next can have it. */
  private finish(call: HttpCall): void {
    const { body, junk, reusable } = this.reader;
    call.holder = null;
    this.served++;
    if (junk) this.reportJunk();
    const usable = reusable && !junk && this.sender.finished && this.idleMs > 0 && this.ending === ENDING.no;
    if (usable) this.release();
    else this.lose();
    if (body.length > 0) call.data(body);
    call.end();
  }

  /** Hands over a piece of a body that goes on, or turned out to be faulty. */
  private deliver(call: HttpCall): void {
    const { body, fault, detail } = this.reader;
    this.reader.forgetEvent();
    const more = body.length === 0 || call.data(body);
    if (call.done) return;
    if (fault !== null) this.fail(call, fault, detail);
    else if (!more) {
      this.paused = true;
      this.socket?.pause();
    }
  }

  private learnKeepAlive(bytes: Uint8Array): void {
    this.keepAliveKnown = true;
    const serverMs = keepAliveMs(findHeader(bytes, this.wire.head, 'keep-alive'));
    // A second less than the server waits: the request must not cross the server's close on the way.
    if (serverMs !== null) this.idleMs = Math.max(0, Math.min(LIMITS.connectionIdleMs, serverMs - 1000));
  }

  private reportJunk(): void {
    this.wire.log.warn('closed a connection to an MCP server: it sent bytes that belong to no exchange');
    this.owner.misbehaved();
  }

  // ── back-pressure and the client's leaving ─────────────────────────────────────────────────────

  resumeCall(call: HttpCall): void {
    if (this.call !== call || !this.paused) return;
    this.paused = false;
    if (this.backlog.length === 0 && this.ending === ENDING.no) this.socket?.resume();
    else this.wire.clock.soon(() => this.replay(call));
  }

  /** Works off what came while paused, in order, the end of the connection last. */
  private replay(call: HttpCall): void {
    if (this.call !== call || this.paused) return;
    if (this.backlog.length > 0) {
      const bytes = concat(this.backlog);
      this.backlog = [];
      this.receive(call, bytes);
      if (this.call !== call || this.paused) return;
    }
    if (this.ending === ENDING.no) this.socket?.resume();
    else this.closed(this.ending === ENDING.broken);
  }

  outlastCall(call: HttpCall): void {
    if (this.reader.streaming) this.outlive(call);
  }

  abandonCall(call: HttpCall): void {
    this.call = null;
    if (this.state === 'connecting') this.noteConnect(call);
    // Nothing was written on a connection that is still being made: somebody else can use it.
    if (this.state === 'busy') this.lose();
  }

  // ── endings ────────────────────────────────────────────────────────────────────────────────────

  /** The peer ended the connection. `broken`: not properly. */
  private closed(broken: boolean): void {
    const call = this.call;
    if (call === null) this.lose();
    else if (this.paused || this.backlog.length > 0) {
      this.ending = broken || this.ending === ENDING.broken ? ENDING.broken : ENDING.clean;
    } else if (this.reader.silent) this.closedInSilence(call);
    else {
      this.reader.endOfConnection(broken);
      const { fault, detail } = this.reader;
      if (fault !== null) this.fail(call, fault, detail);
      else this.finish(call);
    }
  }

  /** No byte of the reply came: the rule at the top of this file. */
  private closedInSilence(call: HttpCall): void {
    const written = this.sender.sentBytes > 0;
    const again = this.pooled && !call.retried && (!written || call.repeatable);
    if (again) {
      call.retried = true;
      this.call = null;
      // First it waits, then the place is given back: a pool that closes must see that something is left to do.
      this.owner.callAgain(call);
      return this.lose();
    }
    this.lose();
    if (written) {
      this.failSoon(call, new GatewayError('GW_UPSTREAM_CLOSED', 'before the reply began'));
    } else this.failSoon(call, new GatewayError('GW_UPSTREAM_SEND'));
  }

  /** Ends the exchange and its connection. */
  private fail(call: HttpCall, code: ErrorCode, detail: string): void {
    this.lose();
    this.owner.callFailed(call, new GatewayError(code, detail));
  }

  /** For failures that may be found while sending: send() must return first. */
  private failSoon(call: HttpCall, error: GatewayError): void {
    call.holder = null;
    this.wire.clock.soon(() => this.owner.callFailed(call, error));
  }

  /** Back to the pool. */
  private release(): void {
    this.reset();
    this.pooled = true;
    this.state = 'idle';
    this.owner.connectionFree(this);
  }

  /** Closes the connection for good and gives its place back. */
  lose(): void {
    if (this.state === 'lost') return;
    const socket = this.socket;
    this.state = 'lost';
    this.socket = null;
    this.reset();
    this.owner.connectionLost(this);
    // destroy() may bring onClose before it returns, which then says that the slot is quiet.
    if (this.quiet) this.owner.connectionQuiet(this);
    else socket?.destroy();
  }

  /** The gateway lets go now: what was sent may have been executed, what was not has not. */
  breakOff(): void {
    const call = this.call;
    const sent = this.state === 'busy' && this.sender.sentBytes > 0;
    this.lose();
    if (call === null) return;
    const closed = new GatewayError('GW_UPSTREAM_CLOSED', 'the gateway let go of the server first');
    this.owner.callFailed(call, sent ? closed : new GatewayError('GW_UPSTREAM_CLOSING'));
  }

  private reset(): void {
    this.call = null;
    this.quietSinceMs = 0;
    if (this.longLived) {
      this.longLived = false;
      this.owner.connectionShortLived();
    }
    this.paused = false;
    this.ending = ENDING.no;
    this.sender.reset();
    this.reader.reset();
    if (this.backlog.length > 0) this.backlog = [];
  }

  // ── deadlines ──────────────────────────────────────────────────────────────────────────────────

  /** Called by the pool's tick. Every deadline is late by at most two ticks and never early. */
  sweep(nowMs: number): void {
    if (this.state === 'lost') return;
    if (this.quietSinceMs === 0 || this.paused) this.quietSinceMs = nowMs;
    const quietMs = nowMs - this.quietSinceMs;
    const call = this.call;
    const { name, connectTimeoutMs } = this.wire.spec;
    if (this.state === 'idle') {
      if (quietMs > this.idleMs) this.lose();
    } else if (this.state === 'connecting' && quietMs > connectTimeoutMs) {
      this.lose();
      if (call === null) return;
      this.noteConnect(call);
      this.owner.callFailed(call, tooSlow(name, connectTimeoutMs));
    } else if (call !== null) this.sweepCall(call, nowMs, quietMs);
  }

  private sweepCall(call: HttpCall, nowMs: number, quietMs: number): void {
    const { spec } = this.wire;
    if (call.startedMs === 0) call.startedMs = nowMs;
    const ageMs = nowMs - call.startedMs;
    if (this.reader.midBody) {
      const { streaming } = this.reader;
      if (streaming && ageMs > LONG_STREAM_MS) this.outlive(call);
      if (!(streaming && call.endless) && ageMs > spec.totalTimeoutMs) {
        this.fail(call, 'GW_UPSTREAM_TIMEOUT', tookTooLong(spec.totalTimeoutMs));
      } else if (!streaming && quietMs > spec.replyIdleTimeoutMs) {
        this.fail(call, 'GW_UPSTREAM_IDLE', `no byte came for ${spec.replyIdleTimeoutMs} ms`);
      }
      return;
    }
    const boundMs = firstByteBoundMs(spec, call.request);
    if (ageMs <= boundMs) return;
    if (this.state === 'busy') {
      this.fail(call, 'GW_UPSTREAM_TIMEOUT', `no reply within ${boundMs} ms`);
      return;
    }
    // The attempt to connect goes on for whoever comes next; only this call has waited long enough.
    this.call = null;
    this.noteConnect(call);
    this.owner.callFailed(call, tooSlow(spec.name, boundMs));
  }
}

function tooSlow(name: string, boundMs: number): GatewayError {
  return new GatewayError('GW_UPSTREAM_CONNECT', `connecting to "${name}" took longer than ${boundMs} ms`);
}
