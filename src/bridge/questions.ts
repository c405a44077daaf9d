// Requests that servers sent to the client of a legacy session and that wait for their answers.
// Called by session.ts. Promises: the client sees ids of ours only, unique over all servers; an answer finds its server and that server's own id;
// bounded: the oldest question gives way.
import { type Edit, encode, splice } from '../base/bytes.ts';
import { type Message, rawKey, span, text } from '../mcp/envelope.ts';
import { METHOD } from '../mcp/protocol.ts';
import { notificationEdits } from '../mcp/rewrite.ts';
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

function latin1(raw: string): Uint8Array {
  return Uint8Array.from(raw, (char) => char.charCodeAt(0));
}

/** The open questions of one session. */
export class Questions {
  readonly #open = new Map<string, Question>();
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
    const question = ours === null ? undefined : this.#open.get(ours);
    if (ours === null || at === null || question === undefined) return null;
    this.#open.delete(ours);
    // Scanned anew: a server on stdio is told by the answer's own id whether it still waits for it.
    const own = splice(body, [{ start: at.start, end: at.end, insert: latin1(question.id) }]);
    const ownEnvelope = new Int32Array(ENVELOPE.length);
    this.#scanner.scan(own, 0, own.length, ownEnvelope);
    return { leg: question.leg, draft: { body: own, envelope: ownEnvelope, edits: [] } };
  }

  /** The leg whose request a client's progress notification belongs to, or null. */
  legOfProgress(body: Uint8Array, envelope: Int32Array): Leg | null {
    const token = rawKey(body, envelope, ENVELOPE.progressToken);
    if (token === null) return null;
    for (const question of this.#open.values()) if (question.progressToken === token) return question.leg;
    return null;
  }

  #ask(leg: Leg, { bytes, envelope }: Message): Uint8Array | null {
    const at = span(envelope, ENVELOPE.id);
    const id = rawKey(bytes, envelope, ENVELOPE.id);
    if (at === null || id === null) return null;
    if (this.#open.size >= QUESTIONS_MAX) this.#open.delete(this.#open.keys().next().value ?? '');
    const ours = `"sluice:${leg.index}:${this.#nextId++}"`;
    this.#open.set(ours, { leg, id, progressToken: rawKey(bytes, envelope, ENVELOPE.metaProgressToken) });
    return splice(bytes, [{ start: at.start, end: at.end, insert: encode(ours) }]);
  }

  /** A server takes a question back: the client is to hear it under our id. */
  #withdraw(leg: Leg, { bytes, envelope }: Message): Edit | null {
    const at = span(envelope, ENVELOPE.requestId);
    const theirs = rawKey(bytes, envelope, ENVELOPE.requestId);
    if (at === null) return null;
    for (const [ours, question] of this.#open) {
      if (question.leg !== leg || question.id !== theirs) continue;
      this.#open.delete(ours);
      return { start: at.start, end: at.end, insert: encode(ours) };
    }
    return null;
  }
}
