// The echo upstream: the least that can answer a tools/call over HTTP/1.1 keep-alive, on a raw socket, in a process of its own.
// Started by routed.ts as `bun bench/macro/echo.ts`. Promises: prints {"port":N} when it listens, frames requests by
// Content-Length (split and pipelined ones too), answers each with the same bytes, and costs less than any proxy in front of it.
import { REPLY_BODY } from './call.ts';

const REPLY = Buffer.from(
  `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(REPLY_BODY)}\r\n\r\n${REPLY_BODY}`,
);
const REFUSAL = Buffer.from('HTTP/1.1 411 Length Required\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
const CR = 13;
const LF = 10;

interface Connection {
  /** Bytes of a request that is not whole yet. */
  rest: Uint8Array;
  /** Reply bytes that the kernel did not take yet. */
  unsent: Uint8Array;
}

/** Offset behind the blank line of a head, or -1. */
function headEnd(bytes: Uint8Array, from: number): number {
  for (let at = from + 3; at < bytes.length; at++) {
    if (bytes[at] === LF && bytes[at - 1] === CR && bytes[at - 2] === LF && bytes[at - 3] === CR)
      return at + 1;
  }
  return -1;
}

/** Content-Length of a head, or -1. */
function bodyLength(head: string): number {
  const found = /\r\ncontent-length: *(\d+)/i.exec(head);
  return found === null ? -1 : Number(found[1]);
}

/** How many whole requests begin at the start of the bytes, and where the rest begins. -1: one that cannot be framed. */
function countRequests(bytes: Buffer): { readonly count: number; readonly end: number } {
  let count = 0;
  let end = 0;
  while (end < bytes.length) {
    const bodyStart = headEnd(bytes, end);
    if (bodyStart < 0) break;
    const length = bodyLength(bytes.toString('latin1', end, bodyStart));
    if (length < 0) return { count: -1, end };
    if (bodyStart + length > bytes.length) break;
    end = bodyStart + length;
    count++;
  }
  return { count, end };
}

const NONE = new Uint8Array(0);

const listener = Bun.listen<Connection>({
  hostname: '127.0.0.1',
  port: 0,
  socket: {
    open(socket) {
      socket.data = { rest: NONE, unsent: NONE };
      socket.setNoDelay(true);
    },
    data(socket, chunk) {
      const state = socket.data;
      const bytes = state.rest.length === 0 ? chunk : Buffer.concat([state.rest, chunk]);
      const { count, end } = countRequests(bytes);
      if (count < 0) {
        socket.end(REFUSAL);
        return;
      }
      state.rest = end === bytes.length ? NONE : bytes.subarray(end);
      if (count === 0) return;
      const replies = count === 1 ? REPLY : Buffer.concat(new Array<Buffer>(count).fill(REPLY));
      if (state.unsent.length > 0) {
        state.unsent = Buffer.concat([state.unsent, replies]);
        return;
      }
      const sent = socket.write(replies);
      if (sent < replies.length) state.unsent = replies.subarray(Math.max(sent, 0));
    },
    drain(socket) {
      const state = socket.data;
      const sent = socket.write(state.unsent);
      state.unsent = state.unsent.subarray(Math.max(sent, 0));
    },
  },
});

console.log(JSON.stringify({ port: listener.port }));
