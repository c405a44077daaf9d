// Writes one request at a time to a socket: head and body in one write where they fit, the rest under back-pressure.
// Called by http-connection.ts. Promises: every byte once and in order; a large body is never copied, and nothing stays in the shared
// scratch once send() has returned.
import { assert } from '../base/assert.ts';
import { type Edit, splicedLength, spliceInto } from '../base/bytes.ts';
import type { Socket } from '../runtime/runtime.ts';
import type { RequestHead } from './request-head.ts';
import type { UpstreamRequest } from './upstream.ts';

/** What send() did. */
export const SENT = Object.freeze({
  /** All of it, or as much as the kernel took: flush() goes on. */
  ok: 0,
  /** The socket was found closed; nothing was written. */
  closed: 1,
  /** A header cannot be sent; nothing was written. */
  refused: 2,
});

/** One per connection; send() starts anew. */
export class RequestSender {
  /** Bytes that the kernel took. */
  sentBytes = 0;
  private readonly head: RequestHead;
  private readonly unsent: Uint8Array[] = [];
  private unsentAt = 0;

  constructor(head: RequestHead) {
    this.head = head;
  }

  /** True when the whole request is with the kernel. */
  get finished(): boolean {
    return this.unsent.length === 0;
  }

  /** Starts sending and returns a SENT code; throws GW_BASE_INTERNAL when the edits do not fit the body. */
  send(socket: Socket, request: UpstreamRequest): number {
    const scratch = this.head.scratch;
    this.sentBytes = 0;
    const end = this.fill(request);
    if (end < 0) return SENT.refused;
    const taken = socket.write(scratch, 0, end);
    if (taken < 0) return SENT.closed;
    this.sentBytes = taken;
    // The scratch serves the next request of any connection, so what the kernel did not take must move out of it.
    if (taken < end) this.unsent.unshift(scratch.slice(taken, end));
    else if (this.unsent.length > 0) this.flush(socket);
    return SENT.ok;
  }

  /** Goes on after a short write. A closed socket is left for its onClose to tell. */
  flush(socket: Socket): void {
    for (let part = this.unsent[0]; part !== undefined; part = this.unsent[0]) {
      const taken = socket.write(part, this.unsentAt, part.length);
      if (taken < 0) return;
      this.sentBytes += taken;
      this.unsentAt += taken;
      if (this.unsentAt < part.length) return;
      this.unsent.shift();
      this.unsentAt = 0;
    }
  }

  /** Forgets what was not sent. */
  reset(): void {
    this.unsentAt = 0;
    if (this.unsent.length > 0) this.unsent.length = 0;
  }

  /** Puts the head, and the body when it fits, into the scratch; leaves a larger body in `unsent` as views. Returns the bytes to send, or -1. */
  private fill(request: UpstreamRequest): number {
    const { body, edits } = request;
    const scratch = this.head.scratch;
    if (edits.length > 0) assertFits(body, edits);
    const bodyBytes = edits.length === 0 ? body.length : splicedLength(body.length, edits);
    const at = this.head.write(request, bodyBytes);
    if (at < 0 || bodyBytes === 0) return at;
    if (at + bodyBytes <= scratch.length) {
      if (edits.length > 0) return spliceInto(scratch, at, body, edits);
      scratch.set(body, at);
      return at + bodyBytes;
    }
    let from = 0;
    for (const edit of edits) {
      this.keep(body.subarray(from, edit.start));
      this.keep(edit.insert);
      from = edit.end;
    }
    this.keep(body.subarray(from));
    return at;
  }

  private keep(bytes: Uint8Array): void {
    if (bytes.length > 0) this.unsent.push(bytes);
  }
}

/** Edits that do not fit would belie the announced length, and so put in doubt where the next request begins. */
function assertFits(body: Uint8Array, edits: readonly Edit[]): void {
  let from = 0;
  for (const { start, end } of edits) {
    assert(from <= start && start <= end && end <= body.length, 'edits lie in order within the body');
    from = end;
  }
}
