// Handlers that write down what they hear, for the runtime's contract suite and its Bun-only tests.
// Called by runtime*.ts in this folder. Promises: nothing is filtered, so that a second onClose or a late onData shows.
import type { ChildHandler, Socket, SocketHandler } from '../../src/runtime/runtime.ts';

export const text = (value: string): Uint8Array => new TextEncoder().encode(value);

/** Bytes with a pattern in which every shift, loss or repetition shows. */
export function pattern(count: number): Uint8Array {
  const bytes = new Uint8Array(count);
  for (let i = 0; i < count; i++) bytes[i] = (i * 31 + (i >> 8) * 7 + (i >> 16)) & 0xff;
  return bytes;
}

/** Writes all of it, as fast as the socket takes it, then calls `done`. */
export class Pump {
  private at = 0;
  shorts = 0;

  constructor(
    private readonly bytes: Uint8Array,
    private readonly done: () => void,
  ) {}

  run(socket: Socket): void {
    while (this.at < this.bytes.length) {
      const wanted = Math.min(this.bytes.length, this.at + 60_000);
      const taken = socket.write(this.bytes, this.at, wanted);
      if (taken < 0) return;
      this.at += taken;
      if (this.at < wanted) {
        this.shorts++;
        return;
      }
    }
    this.done();
  }
}

/** A socket handler that remembers everything. */
export class SocketRecorder implements SocketHandler {
  readonly events: string[] = [];
  readonly parts: Uint8Array[] = [];
  socket: Socket | null = null;
  error: string | null = null;
  tls = false;

  constructor(private readonly on: Partial<SocketHandler> = {}) {}

  get bytes(): Buffer {
    return Buffer.concat(this.parts);
  }

  get closed(): boolean {
    return this.events.includes('close');
  }

  onOpen(socket: Socket): void {
    this.events.push('open');
    this.socket = socket;
    this.on.onOpen?.(socket);
  }

  onData(bytes: Uint8Array): void {
    if (this.events.at(-1) !== 'data') this.events.push('data');
    this.parts.push(bytes);
    this.on.onData?.(bytes);
  }

  onDrain(): void {
    if (this.events.at(-1) !== 'drain') this.events.push('drain');
    this.on.onDrain?.();
  }

  onEnd(): void {
    this.events.push('end');
    this.on.onEnd?.();
  }

  onClose(error: string | null): void {
    this.events.push('close');
    this.error = error;
    this.on.onClose?.(error);
  }

  onConnectError(error: string, tls: boolean): void {
    this.events.push('connectError');
    this.error = error;
    this.tls = tls;
  }
}

/** A child handler that remembers everything. */
export class ChildRecorder implements ChildHandler {
  readonly events: string[] = [];
  readonly outParts: Uint8Array[] = [];
  readonly errParts: Uint8Array[] = [];
  drains = 0;
  code: number | null = null;
  signal: string | null = null;

  get out(): string {
    return Buffer.concat(this.outParts).toString();
  }

  get err(): string {
    return Buffer.concat(this.errParts).toString();
  }

  get exited(): boolean {
    return this.events.includes('exit');
  }

  onStdout(bytes: Uint8Array): void {
    if (this.events.at(-1) !== 'out') this.events.push('out');
    this.outParts.push(bytes);
  }

  onStderr(bytes: Uint8Array): void {
    if (this.events.at(-1) !== 'err') this.events.push('err');
    this.errParts.push(bytes);
  }

  onDrain(): void {
    this.drains++;
  }

  onExit(code: number | null, signal: string | null): void {
    this.events.push('exit');
    this.code = code;
    this.signal = signal;
  }
}
