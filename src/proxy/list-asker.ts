// What an endpoint that joins lists asks of its members, and in whose name.
// Called by joined-lists.ts; made by both faces of an aggregate. Promises: what a question and an asker hold may outlive the exchange that they were made for.
import type { Draft } from '../bridge/member.ts';
import type { MemberPages, SelfInfo } from '../mcp/merge.ts';
import type { ListShape } from '../mcp/rewrite.ts';
import type { ListKey } from './list-memory.ts';
import type { Asking } from './silences.ts';

/** What is asked of every member. */
export interface ListQuestion {
  readonly method: string;
  readonly shape: ListShape;
  readonly draft: Draft;
}

/** Whom names are for. */
export interface NamedFor {
  /** Who asks, of all members together. */
  readonly partition: string;
  /** Given for modern clients. */
  readonly self: SelfInfo | null;
}

/** How a face asks its members in the name of one client. */
export interface ListAsker extends NamedFor {
  /** What a member's answer is kept under. */
  keyOf(index: number): ListKey;
  list(index: number, question: ListQuestion): Promise<MemberPages>;
  /** The same when nobody waits for it, and the client may be gone; null when it cannot be done without the client. */
  listAgain(index: number, question: ListQuestion): Promise<MemberPages | null>;
  /** How the client hears that a member is back which it had to do without. */
  readonly back: Asking['back'];
}
