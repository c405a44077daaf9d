// A reply that is kept until it is known what becomes of it: its head, copied, and its body.
// Called by era-probe.ts and era-sinks.ts. Promises: the head stays readable for good, for the headers that can matter to a client; a replay is what
// upstream.ts promises of a whole reply.
import { concat, decode, EMPTY, splice } from '../base/bytes.ts';
import { GatewayError } from '../base/errors.ts';
import { readMessage, span, text } from '../mcp/envelope.ts';
import { ENVELOPE, type Scanner } from '../scan/contract.ts';
import type { ReplyHead, UpstreamSink } from '../upstream/upstream.ts';

/** Headers that a client may see or need of a reply. */
const KEPT_HEADERS: readonly string[] = [
  'content-type',
  'cache-control',
  'www-authenticate',
  'retry-after',
  'allow',
  'x-accel-buffering',
  'mcp-session-id',
];

/** A whole reply. */
export interface HeldReply {
  readonly head: ReplyHead;
  readonly body: Uint8Array;
}

/** A copy of a head that outlives onHead. */
export function keptHead(head: ReplyHead): ReplyHead {
  const values = new Map<string, string | null>();
  for (const name of KEPT_HEADERS) values.set(name, head.header(name));
  const { status, media, contentLength, whole, sessionId } = head;
  const kept = { status, media, contentLength, whole, sessionId };
  const header = (name: string): string | null => values.get(name) ?? null;
  return head.homed === undefined ? { ...kept, header } : { ...kept, homed: head.homed, header };
}

/** Joins what was gathered to a whole reply. */
export function heldReply(head: ReplyHead, parts: readonly Uint8Array[]): HeldReply {
  const body = parts.length === 0 ? EMPTY : concat(parts);
  return { head: { ...head, contentLength: body.length, whole: true }, body };
}

/** The body as JSON.parse has it; null when it is no JSON. For control messages only. */
export function parsed(body: Uint8Array): unknown {
  if (body.length === 0) return null;
  try {
    return JSON.parse(decode(body));
  } catch {
    return null;
  }
}

/** Gives a reply to a sink. `isOver` tells when the sink's owner wants no more. */
export function replay({ head, body }: HeldReply, sink: UpstreamSink, isOver: () => boolean): void {
  sink.onHead(head);
  if (body.length > 0 && !isOver()) sink.onData(body);
  if (!isOver()) sink.onEnd();
}

/** The reply to another request of the same client: where it bears the id `from` it bears `to` instead. */
export function readdressed(
  reply: HeldReply,
  scanner: Scanner,
  ids: { readonly from: string; readonly to: Uint8Array | null },
): HeldReply {
  const message = reply.head.media === 'json' ? readMessage(scanner, reply.body) : null;
  if (message === null || message instanceof GatewayError || ids.to === null) return reply;
  const { bytes, envelope } = message;
  const at = span(envelope, ENVELOPE.id);
  if (at === null || text(bytes, envelope, ENVELOPE.id) !== ids.from) return reply;
  return heldReply(reply.head, [splice(bytes, [{ start: at.start, end: at.end, insert: ids.to }])]);
}
