// Client sockets on Bun.connect: TCP, Unix and TLS.
// Called by bun.ts only. Promises: one set of callbacks shared by all sockets (state hangs on socket.data), TCP_NODELAY,
// certificate and host name verified before onOpen, exactly one of onConnectError or (onOpen … onClose).

import type { Socket, SocketAddress, SocketHandler, TlsConnectOptions } from './runtime.ts';
import { surface } from './surface.ts';
import { putOff } from './turn-end.ts';

type Raw = Bun.Socket<Wire>;

/** Codes of a handshake that did not come about, as opposed to a certificate that was not accepted. */
const NO_SESSION: ReadonlySet<string> = new Set([
  'EPROTO',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
]);
/** How BoringSSL's messages begin. */
const TLS_FAILURE = 'error:';

/** Writes up to here are put off to the end of the turn. */
const LATE_BYTES_MAX = 64 * 1024;

type Phase = 'connecting' | 'open' | 'closed';

class Wire implements Socket {
  readonly handler: SocketHandler;
  readonly tls: TlsConnectOptions | null;
  raw: Raw | null = null;
  phase: Phase = 'connecting';
  /** What was taken and waits for the end of the turn, or for the kernel. */
  private readonly late: Uint8Array[] = [];
  private lateBytes = 0;
  /** The kernel takes nothing until it says so. */
  private isFull = false;
  /** Whoever wrote waits for onDrain. */
  private isShort = false;
  private isEnding = false;
  private leaving = false;
  failure: string | null = null;

  constructor(handler: SocketHandler, tls: TlsConnectOptions | null) {
    this.handler = handler;
    this.tls = tls;
  }

  write(bytes: Uint8Array, start: number, end: number): number {
    if (this.phase !== 'open' || this.raw === null || this.isEnding) return -1;
    const room = LATE_BYTES_MAX - this.lateBytes;
    if (this.isFull || end - start > room) return this.writeNow(bytes, start, end);
    this.late.push(bytes.slice(start, end));
    this.lateBytes += end - start;
    if (this.late.length === 1) putOff(this.flush);
    return end - start;
  }

  /** What does not fit behind what waits goes to the kernel at once, or waits for onDrain. */
  private writeNow(bytes: Uint8Array, start: number, end: number): number {
    this.flush();
    const taken = this.isFull || this.raw === null ? 0 : put(this.raw, bytes, start, end);
    if (taken === end - start) return taken;
    this.isShort = true;
    this.isFull = true;
    return taken;
  }

  /** Hands what waits to the kernel, as far as that takes it. */
  private readonly flush = (): void => {
    if (this.phase !== 'open' || this.raw === null) return;
    for (let first = this.late[0]; first !== undefined; first = this.late[0]) {
      const taken = put(this.raw, first, 0, first.length);
      this.lateBytes -= taken;
      this.isFull = taken < first.length;
      if (this.isFull) {
        this.late[0] = first.subarray(taken);
        return;
      }
      this.late.shift();
    }
    if (this.isEnding) this.leave((raw) => raw.end());
  };

  /** The kernel has room again. */
  drained(): void {
    this.isFull = false;
    this.flush();
    if (this.isFull || !this.isShort || this.phase !== 'open') return;
    this.isShort = false;
    this.handler.onDrain();
  }

  end(): void {
    if (this.late.length === 0) return this.leave((raw) => raw.end());
    this.isEnding = true;
    this.flush();
  }

  destroy(): void {
    this.leave((raw) => raw.terminate());
  }

  pause(): void {
    this.raw?.pause();
  }

  resume(): void {
    this.raw?.resume();
  }

  opened(raw: Raw): void {
    this.raw = raw;
    this.phase = 'open';
    this.handler.onOpen(this);
  }

  refused(error: string, tls: boolean): void {
    if (this.phase !== 'connecting') return;
    this.phase = 'closed';
    this.handler.onConnectError(error, tls);
  }

  closed(): void {
    if (this.phase === 'connecting')
      this.refused(this.failure ?? 'the peer closed the connection', this.tls !== null);
    if (this.phase !== 'open') return;
    this.phase = 'closed';
    if (this.leaving) queueMicrotask(() => this.handler.onClose(this.failure));
    else this.handler.onClose(this.failure);
  }

  /** Bun reports the close while its own method is still on the stack; our caller hears of it after that. */
  private leave(how: (raw: Raw) => void): void {
    if (this.raw === null || this.phase !== 'open') return;
    this.leaving = true;
    how(this.raw);
    this.leaving = false;
  }
}

/** Bytes that the kernel took; none once the socket has closed, which is told apart. */
function put(raw: Raw, bytes: Uint8Array, start: number, end: number): number {
  // Bun takes any view; its type excludes shared memory.
  return Math.max(0, raw.write(bytes as Uint8Array<ArrayBuffer>, start, end - start));
}

function text(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

const plainEvents: Bun.SocketHandler<Wire> = {
  open(raw) {
    raw.setNoDelay(true);
    raw.data.opened(raw);
  },
  data(raw, bytes) {
    raw.data.handler.onData(bytes);
  },
  drain(raw) {
    raw.data.drained();
  },
  end(raw) {
    if (raw.data.phase === 'open') raw.data.handler.onEnd();
  },
  error(raw, error) {
    // Two things come here: a broken TLS session, and what a handler threw, which must not be lost.
    raw.data.failure ??= text(error);
    if (raw.data.tls === null || !error.message.startsWith(TLS_FAILURE)) surface(error);
  },
  close(raw, error) {
    if (error !== undefined) raw.data.failure ??= text(error);
    raw.data.closed();
  },
  connectError(raw, error) {
    raw.data.refused(`${'code' in error ? `${String(error.code)}: ` : ''}${error.message}`, false);
  },
};

const tlsEvents: Bun.SocketHandler<Wire> = {
  ...plainEvents,
  open(raw) {
    raw.setNoDelay(true);
  },
  handshake(raw, success, error) {
    const wire = raw.data;
    const verify = wire.tls?.verify ?? true;
    const code = error !== null && 'code' in error ? String(error.code) : '';
    // With a wrong name or an unknown CA Bun may call the handshake failed even when it was told not to mind.
    const accepted = verify ? success && error === null : success || (code !== '' && !NO_SESSION.has(code));
    if (accepted) return wire.opened(raw);
    wire.refused(error === null ? 'the certificate was not accepted' : `${code}: ${text(error)}`, true);
    raw.terminate();
  },
};

function tlsOptions(tls: TlsConnectOptions): Bun.TLSOptions {
  return {
    serverName: tls.serverName,
    rejectUnauthorized: tls.verify,
    ...(tls.ca !== null && { ca: tls.ca }),
    ...(tls.cert !== null && { cert: tls.cert }),
    ...(tls.key !== null && { key: tls.key }),
  };
}

/** Opens a socket; every outcome, bad options included, comes to the handler after this returned. */
export function connectOnBun(
  address: SocketAddress,
  tls: TlsConnectOptions | null,
  handler: SocketHandler,
): void {
  const wire = new Wire(handler, tls);
  const socket = tls === null ? plainEvents : tlsEvents;
  const secure = tls === null ? {} : { tls: tlsOptions(tls) };
  const failed = (error: unknown): void => wire.refused(text(error), tls !== null);
  try {
    const shared = { ...secure, socket, data: wire };
    const connecting =
      'unixPath' in address
        ? Bun.connect<Wire>({ ...shared, unix: address.unixPath })
        : Bun.connect<Wire>({ ...shared, hostname: address.host, port: address.port });
    connecting.catch(failed);
  } catch (error) {
    // Bun throws synchronously for a key or certificate that it cannot read.
    queueMicrotask(() => failed(error));
  }
}
