// Client sockets on node:net and node:tls: TCP, Unix and TLS.
// Called by node.ts only. Promises: TCP_NODELAY; certificate and host name verified before onOpen; exactly one of onConnectError or (onOpen … onClose).
import net from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { Socket, SocketAddress, SocketHandler, TlsConnectOptions } from './runtime.ts';
import { putOff } from './turn-end.ts';

/** Bytes given to the kernel at once: what it does not take Node keeps, and there should be little of it. */
const WRITE_BYTES_MAX = 256 * 1024;
const READ_BYTES = 64 * 1024;
/** What plain sockets read into. One for all: what is in it is copied before anything else is read. */
const received = Buffer.allocUnsafeSlow(READ_BYTES);

type Phase = 'connecting' | 'open' | 'closed';

class Wire implements Socket {
  readonly handler: SocketHandler;
  readonly tls: boolean;
  raw: net.Socket | null = null;
  phase: Phase = 'connecting';
  failure: string | null = null;
  /** What waits for the end of the turn. */
  private late: Uint8Array[] = [];
  private lateBytes = 0;
  /** A write was refused: whoever wrote waits for onDrain. */
  private isAwaited = false;
  private isLeaving = false;

  constructor(handler: SocketHandler, tls: boolean) {
    this.handler = handler;
    this.tls = tls;
  }

  write(bytes: Uint8Array, start: number, end: number): number {
    const { raw } = this;
    if (this.phase !== 'open' || this.isLeaving || raw === null) return -1;
    const room = raw.writableLength > 0 ? 0 : WRITE_BYTES_MAX - this.lateBytes;
    const taken = Math.min(end - start, room);
    if (taken < end - start) this.isAwaited = true;
    if (taken === 0) return 0;
    // Node keeps what the kernel does not take, so it must be nobody else's.
    const copy = Buffer.allocUnsafe(taken);
    copy.set(bytes.subarray(start, start + taken));
    this.late.push(copy);
    this.lateBytes += taken;
    if (this.late.length === 1) putOff(this.flush);
    return taken;
  }

  /** Hands what waits for the end of the turn to Node. */
  private readonly flush = (): void => {
    const { raw, late } = this;
    this.late = [];
    this.lateBytes = 0;
    if (this.phase !== 'open' || raw === null) return;
    if (late.length > 1) raw.cork();
    for (const bytes of late) raw.write(bytes, this.written);
    if (late.length > 1) raw.uncork();
  };

  private readonly written = (): void => {
    if (!this.isAwaited || this.phase !== 'open' || this.isLeaving) return;
    if (this.raw === null || this.raw.writableLength > 0 || this.late.length > 0) return;
    this.isAwaited = false;
    this.handler.onDrain();
  };

  end(): void {
    this.flush();
    this.leave((raw) => raw.end(() => raw.destroy()));
  }

  destroy(): void {
    this.leave((raw) => raw.destroy());
  }

  pause(): void {
    this.raw?.pause();
  }

  resume(): void {
    this.raw?.resume();
  }

  /** Bytes came. They may lie in what others read into next. */
  received(bytes: Uint8Array): void {
    if (this.phase === 'open' && !this.isLeaving) this.handler.onData(bytes);
  }

  opened(raw: net.Socket): void {
    if (this.phase !== 'connecting') return;
    this.raw = raw;
    this.phase = 'open';
    this.handler.onOpen(this);
  }

  ended(): void {
    if (this.phase === 'open' && !this.isLeaving) this.handler.onEnd();
  }

  refused(error: string, tls: boolean): void {
    if (this.phase !== 'connecting') return;
    this.phase = 'closed';
    this.handler.onConnectError(error, tls);
  }

  closed(): void {
    if (this.phase === 'connecting') this.refused(this.failure ?? 'the peer closed the connection', this.tls);
    if (this.phase !== 'open') return;
    this.phase = 'closed';
    this.handler.onClose(this.isLeaving ? null : this.failure);
  }

  private leave(how: (raw: net.Socket) => void): void {
    if (this.raw === null || this.phase !== 'open' || this.isLeaving) return;
    this.isLeaving = true;
    how(this.raw);
  }
}

function text(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? `${String(error.code)}: ` : '';
  return error instanceof Error ? `${code}${error.message.replace(code, '')}` : String(error);
}

function listenTo(raw: net.Socket, wire: Wire): void {
  raw.on('end', () => wire.ended());
  raw.on('error', (error) => {
    wire.failure ??= text(error);
  });
  raw.on('close', () => wire.closed());
}

function connectPlain(address: SocketAddress, wire: Wire): void {
  const shared = {
    noDelay: true,
    onread: {
      buffer: received,
      callback(count: number, buffer: Uint8Array) {
        wire.received(Buffer.from(buffer.subarray(0, count)));
        return true;
      },
    },
  };
  const raw = net.connect(
    'unixPath' in address
      ? { ...shared, path: address.unixPath }
      : { ...shared, host: address.host, port: address.port },
  );
  raw.once('connect', () => wire.opened(raw));
  listenTo(raw, wire);
}

function connectTls(address: SocketAddress, tls: TlsConnectOptions, wire: Wire): void {
  const { serverName, ca, cert, key } = tls;
  // node:tls takes 10 ms to load, and most gateways speak plain HTTP to their servers.
  const library = process.getBuiltinModule('node:tls');
  const place =
    'unixPath' in address ? { path: address.unixPath } : { host: address.host, port: address.port };
  const raw: TLSSocket = library.connect({
    ...place,
    // An address is no name for SNI (RFC 6066), but is what the certificate must be for.
    servername: net.isIP(serverName) === 0 ? serverName : '',
    checkServerIdentity: (_host, shown) => library.checkServerIdentity(serverName, shown),
    rejectUnauthorized: tls.verify,
    ALPNProtocols: ['http/1.1'],
    ...(ca !== null && { ca }),
    ...(cert !== null && { cert }),
    ...(key !== null && { key }),
  });
  raw.setNoDelay(true);
  raw.on('data', (bytes: Buffer) => wire.received(bytes));
  raw.once('secureConnect', () => wire.opened(raw));
  raw.once('error', (error) => {
    // A system call that failed before TLS began says so; what fails later is TLS.
    const before = 'syscall' in error && error.syscall !== 'read' && error.syscall !== 'write';
    wire.refused(text(error), !before);
  });
  listenTo(raw, wire);
}

/** Opens a socket; every outcome, bad options included, comes to the handler after this returned. */
export function connectOnNode(
  address: SocketAddress,
  tls: TlsConnectOptions | null,
  handler: SocketHandler,
): void {
  const wire = new Wire(handler, tls !== null);
  try {
    if (tls === null) connectPlain(address, wire);
    else connectTls(address, tls, wire);
  } catch (error) {
    // Node throws synchronously for a key or certificate that it cannot read.
    queueMicrotask(() => wire.refused(text(error), tls !== null));
  }
}
