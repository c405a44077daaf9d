// What a socket did not take at once, kept in order until it does.
// Called by the sim's HTTP ends. Promises: bytes leave in order; the caller learns whether anything had to wait.
import type { Socket } from './runtime.ts';

/** Bytes that wait for a socket. */
export class Outbox {
  private readonly socket: Socket;
  private readonly waiting: Uint8Array[] = [];
  private endWanted = false;

  constructor(socket: Socket) {
    this.socket = socket;
  }

  /** Sends or keeps; false when something is kept. */
  send(bytes: Uint8Array): boolean {
    this.waiting.push(bytes);
    return this.flush();
  }

  /** Ends the socket after all that waits. */
  end(): void {
    this.endWanted = true;
    this.flush();
  }

  /** To be called on onDrain; true when nothing waits any more. */
  flush(): boolean {
    for (;;) {
      const first = this.waiting[0];
      if (first === undefined) break;
      const taken = Math.max(0, this.socket.write(first, 0, first.length));
      if (taken < first.length) {
        this.waiting[0] = first.subarray(taken);
        return false;
      }
      this.waiting.shift();
    }
    if (this.endWanted) this.socket.end();
    return true;
  }
}
