// One request in flight on a child, or on whatever carries a legacy session's messages.
// Made by stdio-calls.ts; read by those who say where a message of the server goes. Promises: plain data.
import type { GatewayError } from '../base/errors.ts';
import type { Deadline } from './stdio-deadline.ts';
import type { CallReply } from './stdio-reply.ts';

/** Why a call is cancelled at the child, as its `reason`. */
export type CancelReason = 'the client left' | 'no reply in time';

/** One request in flight. */
export interface Call {
  /** Its id on the pipe; its progress token there too when tokens are replaced. */
  readonly id: number;
  /** The client's id, as spelled. */
  readonly idRaw: Uint8Array;
  /** The client's progress token as spelled, null when it gave none. */
  readonly tokenRaw: Uint8Array | null;
  readonly reply: CallReply;
  readonly kind: 'plain' | 'listen' | 'initialize';
  /** It asked for log messages (modern: `logLevel` in its metadata). */
  readonly asksLog: boolean;
  /** Until its first message; then, until it must be over; null when it may take for ever. */
  deadline: Deadline | null;
  /** By the monotonic clock it must be over then, however busy its server is. */
  readonly endsAt: number;
  /** As UpstreamRequest has it. */
  readonly isBackground: boolean;
  /** Something came of it. */
  begun: boolean;
  /** Its client cancelled it; `deadline` is then the end of the wait for a late reply. */
  cancelled: boolean;
  /** Told before the answer goes out; gives the session id that the reply's head carries. */
  readonly onAnswer: ((line: Uint8Array, envelope: Int32Array) => string | null) | null;
}

/** What a call is besides its message. */
export interface CallOptions {
  readonly reply: CallReply;
  readonly deadline: Deadline | null;
  readonly onAnswer: Call['onAnswer'];
  /** Left out: false. */
  readonly isBackground?: boolean;
  /** Told instead of the reply that the server did not take the call (Posting.refused); left out: the reply fails. */
  readonly onRefused?: (error: GatewayError, unsent: boolean) => void;
}
