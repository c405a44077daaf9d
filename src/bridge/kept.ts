// What the sessions of one endpoint keep of their clients' messages, to send again to a leg that comes late or is healed.
// Called by session.ts. Promises: the bytes as they came and nothing else; equal bytes of recent sessions are kept once, since most clients say the same.
import { ENVELOPE, type Scanner } from '../scan/contract.ts';
import type { Draft } from './member.ts';

/** Messages of other sessions that are compared with: a few kinds of clients, three messages each. */
const RECENT_MAX = 16;
/** Longer ones are not shared: they would be kept beyond the end of their session. */
const SHARED_BYTES_MAX = 4_096;

/** Keeps messages for as long as their sessions do. */
export class KeptMessages {
  readonly #scanner: Scanner;
  readonly #recent: Uint8Array[] = [];
  #next = 0;

  constructor(scanner: Scanner) {
    this.#scanner = scanner;
  }

  /** A message's bytes to keep: a copy that nobody writes to, shared with other sessions. */
  keep(body: Uint8Array): Uint8Array {
    // A view would keep all of what the client sent at once.
    if (body.length > SHARED_BYTES_MAX) return body.slice();
    for (const one of this.#recent) if (isSame(one, body)) return one;
    const copy = body.slice();
    this.#recent[this.#next] = copy;
    this.#next = (this.#next + 1) % RECENT_MAX;
    return copy;
  }

  /** A kept message as it is sent: scanned anew, which costs less than keeping what the scanner found. */
  draft(body: Uint8Array): Draft {
    const envelope = new Int32Array(ENVELOPE.length);
    this.#scanner.scan(body, 0, body.length, envelope);
    return { body, envelope, edits: [] };
  }
}

function isSame(one: Uint8Array, other: Uint8Array): boolean {
  if (one.length !== other.length) return false;
  for (let i = 0; i < one.length; i++) if (one[i] !== other[i]) return false;
  return true;
}
