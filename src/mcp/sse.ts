// Server-sent events: writing one message as an event, and reading messages out of a stream of chunks.
// Called by proxy, bridge and upstream. Promises: an event of ours is one `data` line; the reader keeps only the unfinished tail and
// gives equal events however the bytes were cut. Source: WHATWG HTML, server-sent events.
import { concat, EMPTY, encode } from '../base/bytes.ts';
import { GatewayError } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import { EVENT, type Scanner } from '../scan/contract.ts';

const HEAD = encode('event: message\ndata: ');
const TAIL = encode('\n\n');

/** A comment line that keeps an idle stream open. */
export const KEEP_ALIVE: Uint8Array = encode(': keep-alive\n\n');

/** The message with raw newlines between its tokens turned to spaces, so that it fits on one line; itself when it has none. */
export function flatten(message: Uint8Array): Uint8Array {
  if (!message.includes(0x0a) && !message.includes(0x0d)) return message;
  return message.map((byte) => (byte === 0x0a || byte === 0x0d ? 0x20 : byte));
}

/** One event that carries a JSON-RPC message. */
export function messageEvent(message: Uint8Array): Uint8Array {
  return concat([HEAD, flatten(message), TAIL]);
}

/** Name of a stream as event ids tell it: the session's own, or that of one call. */
export type StreamKind = 'session' | 'call';

/** An event id that leads back to one server of an aggregate and to the kind of its stream. */
export function joinEventId(server: string, kind: StreamKind, id: string): string {
  return `${server}+${kind}+${id}`;
}

/** Takes an event id apart; null when it is none of ours. */
export function splitEventId(
  full: string,
): { readonly server: string; readonly kind: StreamKind; readonly id: string } | null {
  const match = /^([^+]+)\+(session|call)\+(.*)$/s.exec(full);
  if (match === null) return null;
  const [, server = '', kind, id = ''] = match;
  return { server, kind: kind === 'session' ? 'session' : 'call', id };
}

/** One event that carries a message (none for a priming event) with an id and a retry time, where there are any. */
export function fullEvent(message: Uint8Array | null, id: string | null, retryMs: string | null): Uint8Array {
  const lines = [id === null ? '' : `id: ${id}\n`, retryMs === null ? '' : `retry: ${retryMs}\n`].join('');
  if (message === null) return encode(lines === '' ? ': keep-alive\n\n' : `${lines}data: \n\n`);
  return concat([encode(lines), messageEvent(message)]);
}

/** One event as read: its data (empty for a comment or a priming event), and its id when it has one. */
export interface StreamEvent {
  readonly data: Uint8Array;
  readonly id: Uint8Array | null;
  /** Milliseconds as the server spelled them, or null. */
  readonly retry: Uint8Array | null;
  /** The event's own bytes, blank line included. */
  readonly whole: Uint8Array;
}

const BATCH = 32;
/** Numbers of the events of one push(), which is synchronous: one array serves every reader, and a stream that waits holds none. */
let spare: Int32Array | null = null;
const LF = 0x0a;
const CR = 0x0d;

function tooLarge(): GatewayError {
  return new GatewayError(
    'GW_UPSTREAM_BODY_SIZE',
    `one event is larger than ${LIMITS.messageBytesMax} bytes`,
  );
}

/** Cuts a byte stream into events. */
export class EventReader {
  readonly #scanner: Scanner;
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #started = false;

  constructor(scanner: Scanner) {
    this.#scanner = scanner;
  }

  /** Takes a chunk and hands out every event that is complete. Throws GW_UPSTREAM_BODY_SIZE when one event grows beyond the limit. */
  push(chunk: Uint8Array, visit: (event: StreamEvent) => void, last = false): void {
    this.#waiting.push(chunk);
    this.#waitingBytes += chunk.length;
    if (this.#waitingBytes > LIMITS.messageBytesMax + chunk.length) throw tooLarge();
    // An event ends with a line: without one there is nothing to look for, and a long event is not read again for every piece of it.
    if (this.#started && !last && !chunk.includes(LF) && !chunk.includes(CR)) return;
    let bytes = concat(this.#waiting);
    if (!this.#started && bytes.length >= 3) {
      this.#started = true;
      if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) bytes = bytes.subarray(3);
    }
    const at = this.#visitAll(bytes, visit, last);
    this.#waitingBytes = bytes.length - at;
    if (this.#waitingBytes > LIMITS.messageBytesMax) throw tooLarge();
    this.#waiting = this.#waitingBytes === 0 ? [] : [bytes.subarray(at)];
  }

  /** Hands out the events in the bytes; returns where the unfinished one begins. */
  #visitAll(bytes: Uint8Array, visit: (event: StreamEvent) => void, last: boolean): number {
    // A visitor may push to another reader: that one takes an array of its own.
    const events = spare ?? new Int32Array(EVENT.length * BATCH);
    spare = null;
    let at = 0;
    try {
      for (;;) {
        const count = this.#scanner.sse(bytes, at, bytes.length, last, events);
        for (let i = 0; i < count; i++) {
          const base = i * EVENT.length;
          visit(readEvent(bytes, events, base));
          at = events[base + EVENT.end] ?? at;
        }
        if (count < BATCH) return at;
      }
    } finally {
      spare = events;
    }
  }

  /** True when bytes of an unfinished event are left. */
  get unfinished(): boolean {
    return this.#waitingBytes > 0;
  }
}

/** The event whose numbers begin at `base`. */
function readEvent(bytes: Uint8Array, events: Int32Array, base: number): StreamEvent {
  const place = (at: number): number => events[base + at] ?? -1;
  const whole = bytes.subarray(place(EVENT.start), place(EVENT.end));
  const id = place(EVENT.idStart) < 0 ? null : bytes.subarray(place(EVENT.idStart), place(EVENT.idEnd));
  const hasRetry = place(EVENT.retryStart) >= 0;
  const retry = hasRetry ? bytes.subarray(place(EVENT.retryStart), place(EVENT.retryEnd)) : null;
  const lines = place(EVENT.dataLines);
  if (lines > 1) return { data: joinDataLines(whole), id, retry, whole };
  const data = lines === 0 ? EMPTY : bytes.subarray(place(EVENT.dataStart), place(EVENT.dataEnd));
  return { data, id, retry, whole };
}

/** Data of an event with several `data` lines, joined by newlines: rare, so spelled plainly. */
function joinDataLines(whole: Uint8Array): Uint8Array {
  const lines: Uint8Array[] = [];
  let start = 0;
  for (let i = 0; i <= whole.length; i++) {
    const byte = whole[i];
    if (byte !== 0x0a && byte !== 0x0d && byte !== undefined) continue;
    const line = whole.subarray(start, i);
    if (startsWithData(line)) lines.push(line.subarray(line[5] === 0x20 ? 6 : 5), encode('\n'));
    if (byte === 0x0d && whole[i + 1] === 0x0a) i++;
    start = i + 1;
  }
  return concat(lines.slice(0, -1));
}

function startsWithData(line: Uint8Array): boolean {
  return (
    line.length >= 5 &&
    line[0] === 0x64 &&
    line[1] === 0x61 &&
    line[2] === 0x74 &&
    line[3] === 0x61 &&
    line[4] === 0x3a
  );
}
