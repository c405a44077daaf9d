// What a legacy session keeps of its event streams, so that a client whose connection broke can go on where it was (2025-03-26, resumability).
// Called by session.ts (makes it), outlet.ts (writes and replays) and face.ts. Promises: bounded in events and bytes, of one session and of all together, the oldest go first; a
// stream is replayed without a gap or not at all.
import { LIMITS } from '../../base/limits.ts';

/** Number of the session's own stream; calls have higher ones. */
export const SESSION_STREAM = 0;

/** One event as it went out, or would have. */
interface Kept {
  readonly stream: number;
  readonly sequence: number;
  readonly bytes: Uint8Array;
  readonly atMs: number;
}

/** Bytes that all sessions of one worker at one server may keep together. */
export class EventBudget {
  #left: number;

  constructor(bytes: number = LIMITS.resumeBytesTotalMax) {
    this.#left = bytes;
  }

  get left(): number {
    return this.#left;
  }

  take(bytes: number): void {
    this.#left -= bytes;
  }

  give(bytes: number): void {
    this.#left += bytes;
  }
}

/** An event's id: which stream of its session, and which of its events. */
export interface EventPlace {
  readonly stream: number;
  readonly sequence: number;
}

/** The id as clients see it. */
export function eventId({ stream, sequence }: EventPlace): string {
  return `${stream}-${sequence}`;
}

/** Reads an id of ours; null when it is none. */
export function readEventId(text: string): EventPlace | null {
  const match = /^(\d{1,15})-(\d{1,15})$/.exec(text);
  return match === null ? null : { stream: Number(match[1]), sequence: Number(match[2]) };
}

/** The events of one session. */
export class EventLog {
  readonly #budget: EventBudget;
  /** Oldest first. */
  #kept: Kept[] = [];
  #bytes = 0;
  /** Sequence of the last event of each stream that may be taken up; 0 before its first. */
  readonly #last = new Map([[SESSION_STREAM, 0]]);
  #streams = SESSION_STREAM;

  constructor(budget: EventBudget) {
    this.#budget = budget;
  }

  /** Number of a new stream. */
  newStream(): number {
    this.#streams++;
    this.#last.set(this.#streams, 0);
    return this.#streams;
  }

  /** Sequence of a stream's last event, 0 before its first. */
  lastOf(stream: number): number {
    return this.#last.get(stream) ?? 0;
  }

  /** Place of the next event of a stream. */
  next(stream: number): EventPlace {
    const sequence = this.lastOf(stream) + 1;
    this.#last.set(stream, sequence);
    return { stream, sequence };
  }

  /** Keeps the event at a place as long as there is room. */
  keep({ stream, sequence }: EventPlace, bytes: Uint8Array, atMs: number): void {
    if (bytes.length > LIMITS.resumeBytesMax) return;
    while (this.#kept.length > 0 && !this.#hasRoom(bytes.length)) this.#dropFirst();
    if (!this.#hasRoom(bytes.length)) return;
    this.#kept.push({ stream, sequence, bytes, atMs });
    this.#bytes += bytes.length;
    this.#budget.take(bytes.length);
  }

  #hasRoom(bytes: number): boolean {
    return (
      this.#kept.length < LIMITS.resumeEventsMax &&
      this.#bytes + bytes <= LIMITS.resumeBytesMax &&
      bytes <= this.#budget.left
    );
  }

  /** Every event of the stream behind a place, in order; null when one of them is gone, or the stream is unknown. */
  after({ stream, sequence }: EventPlace): readonly Uint8Array[] | null {
    const last = this.#last.get(stream);
    if (last === undefined || sequence > last) return null;
    const found = this.#kept.filter((one) => one.stream === stream && one.sequence > sequence);
    return found.length === last - sequence ? found.map((one) => one.bytes) : null;
  }

  /** True for a stream that may be taken up. */
  has(stream: number): boolean {
    return this.#last.has(stream);
  }

  /** What is kept of a stream behind a place, gaps or not. */
  remains({ stream, sequence }: EventPlace): readonly Uint8Array[] {
    return this.#kept
      .filter((one) => one.stream === stream && one.sequence > sequence)
      .map((one) => one.bytes);
  }

  /** Lets go of a stream and its events. */
  forget(stream: number): void {
    this.#last.delete(stream);
    this.#keepOnly((one) => one.stream !== stream);
  }

  /** Lets go of streams that are over (`isOpen` says of which they are not) and have said nothing since `beforeMs`. */
  sweep(beforeMs: number, isOpen: (stream: number) => boolean): void {
    if (this.#last.size <= 1) return;
    const young = new Set(this.#kept.filter((one) => one.atMs >= beforeMs).map((one) => one.stream));
    for (const stream of [...this.#last.keys()])
      if (stream !== SESSION_STREAM && !young.has(stream) && !isOpen(stream)) this.forget(stream);
  }

  /** Lets go of everything. */
  clear(): void {
    this.#keepOnly(() => false);
    this.#last.clear();
  }

  #keepOnly(stays: (one: Kept) => boolean): void {
    const kept: Kept[] = [];
    for (const one of this.#kept) {
      if (stays(one)) kept.push(one);
      else this.#release(one);
    }
    this.#kept = kept;
  }

  #dropFirst(): void {
    const first = this.#kept.shift();
    if (first !== undefined) this.#release(first);
  }

  #release(one: Kept): void {
    this.#bytes -= one.bytes.length;
    this.#budget.give(one.bytes.length);
  }
}
