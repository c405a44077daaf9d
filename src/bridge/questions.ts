// Requests that servers sent to the client of a legacy session and that wait for their answers.
// Called by session.ts. Promises: the client sees ids of ours only, unique over all servers; an answer finds its server and that server's own id;
// bounded: the oldest question gives way.
import { type Edit, splice } from '../base/bytes.ts';
import { type Message, rawKey, span, text } from '../mcp/envelope.ts';
import type { Span } from '../mcp/json.ts';
import { METHOD } from '../mcp/protocol.ts';
import { notificationEdits, relatedTaskEdits } from '../mcp/rewrite.ts';
import { ENVELOPE, KIND, type Scanner } from '../scan/contract.ts';
import type { Leg } from './leg.ts';
import type { Draft } from './member.ts';

/** A request that some server sent and that waits for its answer. Ids and tokens in their raw spelling. */
interface Question {
  readonly leg: Leg;
  readonly id: string;
  readonly progressToken: string | null;
}

const QUESTIONS_MAX = 1_024;

/** The value at a span replaced by a raw spelling, one character a byte. */
function replaced(at: Span, raw: string): Edit {
  return { start: at.start, end: at.end, insert: Uint8Array.from(raw, (char) => char.charCodeAt(0)) };
}

/** The open questions of one session. */
export class Questions {
  /** Made for the first question: most servers ask none. */
  #open: Map<string, Question> | null = null;
  readonly #scanner: Scanner;
  #nextId = 1;

  constructor(scanner: Scanner) {
    this.#scanner = scanner;
  }

  /** A server's notification or request as the client is to see it; null when it is neither, or concerns nothing that is open. */
  toClient(leg: Leg, message: Message): Uint8Array | null {
    const { bytes, envelope } = message;
    const kind = envelope[ENVELOPE.kind];
    if (kind === KIND.request) return this.#ask(leg, message);
    if (kind !== KIND.notification) return null;
    const edits: Edit[] = [...notificationEdits(bytes, envelope, leg.member.spec.name)];
    if (text(bytes, envelope, ENVELOPE.method) === METHOD.cancelled) {
      const edit = this.#withdraw(leg, message);
      if (edit === null) return null;
      edits.push(edit);
    }
    return splice(bytes, edits);
  }

  /** Where a client's answer goes, and as what; null when nobody waits for it. */
  answer(body: Uint8Array, envelope: Int32Array): { readonly leg: Leg; readonly draft: Draft } | null {
    const ours = rawKey(body, envelope, ENVELOPE.id);
    const at = span(envelope, ENVELOPE.id);
    const question = ours === null ? undefined : this.#open?.get(ours);
    if (ours === null || at === null || question === undefined) return null;
    this.#open?.delete(ours);
    // Scanned anew: a server on stdio is told by the answer's own id whether it still waits for it.
    const server = question.leg.member.spec.name;
    const own = splice(body, [replaced(at, question.id), ...relatedTaskEdits(body, envelope, server)]);
    const ownEnvelope = new Int32Array(ENVELOPE.length);
    this.#scanner.scan(own, 0, own.length, ownEnvelope);
    return { leg: question.leg, draft: { body: own, envelope: ownEnvelope, edits: [] } };
  }

  /** Where a client's progress notification goes, and with which token; null when its request is not open. */
  progress(body: Uint8Array, envelope: Int32Array): { readonly leg: Leg; readonly draft: Draft } | null {
    const at = span(envelope, ENVELOPE.progressToken);
    const question = this.#open?.get(rawKey(body, envelope, ENVELOPE.progressToken) ?? '');
    if (at === null || question === undefined || question.progressToken === null) return null;
    return { leg: question.leg, draft: { body, envelope, edits: [replaced(at, question.progressToken)] } };
  }

  #ask(leg: Leg, { bytes, envelope }: Message): Uint8Array | null {
    const at = span(envelope, ENVELOPE.id);
    const id = rawKey(bytes, envelope, ENVELOPE.id);
    if (at === null || id === null) return null;
    const open = this.#open ?? new Map<string, Question>();
    this.#open = open;
    if (open.size >= QUESTIONS_MAX) open.delete(open.keys().next().value ?? '');
    const ours = `"sluice:${leg.index}:${this.#nextId++}"`;
    const token = span(envelope, ENVELOPE.metaProgressToken);
    open.set(ours, { leg, id, progressToken: rawKey(bytes, envelope, ENVELOPE.metaProgressToken) });
    // Two servers may choose the same token: the client sees our id there too.
    const edits = [replaced(at, ours), ...notificationEdits(bytes, envelope, leg.member.spec.name)];
    return splice(bytes, token === null ? edits : [...edits, replaced(token, ours)]);
  }

  /** A server takes a question back: the client is to hear it under our id. */
  #withdraw(leg: Leg, { bytes, envelope }: Message): Edit | null {
    const at = span(envelope, ENVELOPE.requestId);
    const theirs = rawKey(bytes, envelope, ENVELOPE.requestId);
    if (at === null || this.#open === null) return null;
    for (const [ours, question] of this.#open) {
      if (question.leg !== leg || question.id !== theirs) continue;
      this.#open.delete(ours);
      return replaced(at, ours);
    }
    return null;
  }
}
