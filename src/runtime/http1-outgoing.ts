// What a connection of the HTTP/1.1 listener sends, and what waits until the kernel takes it.
// Called by http1-connection.ts. Promises: bytes leave in the order in which they were given; a whole reply leaves in one write where it fits; nothing
// is sent once the socket has closed.
import { copyText, writeLength } from './http1-reply.ts';

/** The part of a socket that sends. */
export interface WritableSocket {
  /** Bytes taken; fewer than were given when the kernel is full, -1 when closed. */
  write(bytes: Uint8Array<ArrayBuffer>, start: number, length: number): number;
}

const SCRATCH_BYTES = 64 * 1024;
/** Headers of a reply up to here leave room in the scratch for the lines that are added. */
export const HEAD_ROOM_BYTES = SCRATCH_BYTES - 512;
/** Where heads are put together. Of one turn: what is in it is sent, or kept elsewhere, before anything else happens. */
export const scratch = new Uint8Array(SCRATCH_BYTES);

/** One connection's way out. */
export class Outgoing {
  private readonly socket: WritableSocket;
  private readonly waiting: Uint8Array[] = [];
  private isClosed = false;

  constructor(socket: WritableSocket) {
    this.socket = socket;
  }

  /** Everything is with the kernel. */
  get isEmpty(): boolean {
    return this.waiting.length === 0;
  }

  /** Sends bytes, which are kept until the kernel took them; false when they wait. */
  send(bytes: Uint8Array): boolean {
    if (this.isClosed) return true;
    const taken = this.waiting.length > 0 ? 0 : this.put(bytes, 0, bytes.length);
    if (taken === bytes.length) return true;
    this.waiting.push(bytes.subarray(taken));
    return false;
  }

  /**
   * Sends the head in the scratch, which ends at `headEnd` but for its framing, and a body. `length`: what the head says of the body; 'none' for
   * replies that have neither body nor length, 'alone' for those to HEAD.
   */
  sendWhole(headEnd: number, body: Uint8Array, length: 'given' | 'alone' | 'none'): void {
    if (this.isClosed) return;
    const at =
      length === 'none' ? copyText(scratch, headEnd, '\r\n') : writeLength(scratch, headEnd, body.length);
    const bodyBytes = length === 'given' ? body.length : 0;
    const end = at + bodyBytes;
    if (end > SCRATCH_BYTES || this.waiting.length > 0) {
      this.send(scratch.slice(0, at));
      if (bodyBytes > 0) this.send(body);
      return;
    }
    if (bodyBytes > 0) scratch.set(body, at);
    const taken = this.put(scratch, 0, end);
    if (taken < end) this.waiting.push(scratch.slice(taken, end));
  }

  /** The kernel has room again; true when it took something. */
  flush(): boolean {
    let progress = false;
    for (let part = this.waiting[0]; part !== undefined; part = this.waiting[0]) {
      const taken = this.put(part, 0, part.length);
      progress ||= taken > 0;
      if (taken < part.length) {
        this.waiting[0] = part.subarray(taken);
        return progress;
      }
      this.waiting.shift();
    }
    return progress;
  }

  /** The socket has closed. */
  close(): void {
    this.isClosed = true;
    this.waiting.length = 0;
  }

  private put(bytes: Uint8Array, start: number, end: number): number {
    // Bun takes any view; its type excludes shared memory.
    return Math.max(0, this.socket.write(bytes as Uint8Array<ArrayBuffer>, start, end - start));
  }
}
