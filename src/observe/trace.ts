// Spans of exchanges that are sampled, as plain data: what a trace is told of them, and who decides which are sampled.
// Called by proxy/tracing.ts (begins), policy/trace.ts (a span for each request to a server), server/span.ts (ends). Promises: an exchange that is not sampled costs one
// look; spans are handed on some at a time, bounded in number: those beyond are counted, not kept.
import { hexOf } from '../base/bytes.ts';
import { LIMITS } from '../base/limits.ts';
import type { Clock, Random, Runtime, TimerId } from '../runtime/runtime.ts';

/** What a request said of the trace that it is part of. */
export interface ParentContext {
  /** 32 and 16 lower-case hex digits. */
  readonly traceId: string;
  readonly spanId: string;
  /** tracestate, '' for none. */
  readonly state: string;
  readonly isSampled: boolean;
}

/** The span of an exchange under way; it is sampled, or there would be none. */
export interface LiveSpan {
  readonly traceId: string;
  readonly spanId: string;
  /** '' for the first of its trace. */
  readonly parentId: string;
  readonly state: string;
  /** Hands on the span of a request to a server, and makes ids for it. */
  readonly tracer: Tracer;
}

/** Values of attributes. */
export type AttributeValue = string | number | boolean;

/** A span that is over. */
export interface SpanData {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentId: string;
  readonly state: string;
  readonly kind: 'server' | 'client';
  readonly name: string;
  /** Wall clock in ms, fractions included. */
  readonly startMs: number;
  readonly endMs: number;
  readonly attributes: Readonly<Record<string, AttributeValue>>;
  /** Why it failed, '' when it did not. */
  readonly error: string;
}

/** Spans on their way, and how many were not kept. */
export interface SpanBatch {
  readonly spans: readonly SpanData[];
  readonly dropped: number;
}

/** What a tracer takes. */
export interface TracerParts {
  readonly clock: Clock;
  readonly random: Random;
  /** Share of the traces that begin here. */
  readonly share: number;
  readonly emit: (batch: SpanBatch) => void;
}

const TRACE_BYTES = 16;
const SPAN_BYTES = 8;

/** Decides which exchanges are sampled, and gathers their spans. */
export class Tracer {
  readonly #parts: TracerParts;
  #waiting: SpanData[] = [];
  #dropped = 0;
  #timer: TimerId = 0;

  constructor(parts: TracerParts) {
    this.#parts = parts;
  }

  /** The span of an exchange: as its parent decided, else for a share of them. Null when it is not sampled. */
  begin(parent: ParentContext | null): LiveSpan | null {
    const { random, share } = this.#parts;
    if (parent === null ? random.fraction() >= share : !parent.isSampled) return null;
    return {
      traceId: parent?.traceId ?? hexOf(random.bytes(TRACE_BYTES)),
      spanId: this.newSpanId(),
      parentId: parent?.spanId ?? '',
      state: parent?.state ?? '',
      tracer: this,
    };
  }

  newSpanId(): string {
    return hexOf(this.#parts.random.bytes(SPAN_BYTES));
  }

  /** A time of the monotonic clock as one of the wall clock, in ms. */
  wall(monotonicMs: number): number {
    const { clock } = this.#parts;
    return clock.wall() - (clock.now() - monotonicMs);
  }

  now(): number {
    return this.#parts.clock.now();
  }

  /** Takes a span that is over. */
  take(span: SpanData): void {
    if (this.#waiting.length >= LIMITS.spansWaitingMax) {
      this.#dropped++;
      return;
    }
    this.#waiting.push(span);
    if (this.#waiting.length >= LIMITS.spansBatch) this.flush();
    else if (this.#timer === 0)
      this.#timer = this.#parts.clock.after(LIMITS.spansFlushMs, () => this.flush());
  }

  /** Hands on what waits. */
  flush(): void {
    this.#parts.clock.cancel(this.#timer);
    this.#timer = 0;
    if (this.#waiting.length === 0 && this.#dropped === 0) return;
    const batch = { spans: this.#waiting, dropped: this.#dropped };
    this.#waiting = [];
    this.#dropped = 0;
    this.#parts.emit(batch);
  }
}

/** What traces the exchanges of a worker; null when nothing is to be traced. */
export function tracerOf(
  { clock, random }: Pick<Runtime, 'clock' | 'random'>,
  { tracing }: { readonly tracing?: { readonly share: number } },
  emit: TracerParts['emit'],
): Tracer | null {
  return tracing === undefined ? null : new Tracer({ clock, random, share: tracing.share, emit });
}
