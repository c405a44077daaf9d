// What a legacy server asked in the middle of one call, as the input requests of a modern result, and the answers on their way back.
// Called by call.ts. Promises: a client is asked only what its capabilities declare; params and answers keep their bytes but for what one era alone
// knows; an answer goes out once, under the server's own id.
import { concat, decode, type Edit, encode, splice } from '../../base/bytes.ts';
import { LIMITS } from '../../base/limits.ts';
import { has, isRecord, type Message, raw, span, text } from '../../mcp/envelope.ts';
import { eachMember, isObject, member, readString, stringMember } from '../../mcp/json.ts';
import { editObject } from '../../mcp/object-edits.ts';
import { METHOD } from '../../mcp/protocol.ts';
import { ENVELOPE } from '../../scan/contract.ts';

/** A server's request that waits for its answer. */
interface Question {
  readonly key: string;
  /** A value of KINDS. */
  readonly kind: string;
  readonly method: string;
  /** True when its key is the server's own word for it. */
  readonly isNamed: boolean;
  /** The server's own id, as it spells it. */
  readonly id: string;
  /** The value under `inputRequests`. */
  readonly request: Uint8Array;
}

type Capabilities = Readonly<Record<string, unknown>>;

const MODE_CHARS_MAX = 20;
/** An id, as JSON spells it, that reads like a name; a number behind `#` tells it from others of the name. */
const NAMING_ID = /^"([A-Za-z_][\w.-]{0,63})(?:#\d{1,16})?"$/;

/** Questions that one call may leave open: no client could answer more at once. */
const QUESTIONS_MAX = 64;

/** The open questions of one call. */
export class Questions {
  readonly #open = new Map<string, Question>();
  /** Names that were answered before they were asked. */
  readonly #foretold = new Set<string>();
  #last = 0;
  /** Capabilities that the server asked for and the client does not declare, as `requiredCapabilities` names them; null: none. */
  lacking: Record<string, unknown> | null = null;

  get size(): number {
    return this.#open.size;
  }

  /** Methods of the open ones. */
  get methods(): readonly string[] {
    return [...this.#open.values()].map(({ method }) => method);
  }

  /** Takes a server's request. Returns why the client cannot be asked, or null. */
  take(message: Message, capabilities: Capabilities): string | null {
    const { bytes, envelope } = message;
    const method = text(bytes, envelope, ENVELOPE.method) ?? '';
    const id = spelled(message, ENVELOPE.id);
    const kind = KINDS.get(method);
    if (kind === undefined || id === null) return 'it knows no such method';
    const wanted = wantedBy(message, kind);
    if (!declares(capabilities, wanted)) {
      this.lacking = { ...this.lacking, ...wanted };
      return `it does not declare ${JSON.stringify(wanted)}`;
    }
    if (this.#open.size >= QUESTIONS_MAX) return `${QUESTIONS_MAX} questions of this call are open`;
    const name = this.#nameIn(id);
    const key = name ?? this.#freshKey(kind);
    const request = inputRequest(message, method);
    if (this.#bytes + id.length + request.length > LIMITS.bodyBytesMax) return 'its questions are too large';
    this.#open.set(key, { key, kind, method, isNamed: name !== null, id, request });
    return null;
  }

  /** A server that names its question by the id is quoted: its clients may know the name, as they would from a modern server. */
  #nameIn(id: string): string | null {
    const [, name] = NAMING_ID.exec(id) ?? [];
    return name === undefined || this.#open.has(name) ? null : name;
  }

  #freshKey(kind: string): string {
    let key: string;
    do key = `${kind}-${++this.#last}`;
    while (this.#open.has(key));
    return key;
  }

  get #bytes(): number {
    let bytes = 0;
    for (const { id, request } of this.#open.values()) bytes += id.length + request.length;
    return bytes;
  }

  /** The server takes a question back. */
  withdraw(message: Message): void {
    const id = spelled(message, ENVELOPE.requestId);
    for (const question of [...this.#open.values()]) if (question.id === id) this.#open.delete(question.key);
  }

  /** The value of `inputRequests`. */
  inputRequests(): Uint8Array {
    const parts: Uint8Array[] = [];
    for (const { key, request } of this.#open.values())
      parts.push(encode(`${parts.length === 0 ? '{' : ','}"${key}":`), request);
    return concat([...parts, encode('}')]);
  }

  /** Takes the answers out of a retry; the responses to post. What answers no open question, or is no object, is not looked at. */
  answers(body: Uint8Array, envelope: Int32Array): readonly string[] {
    return this.#answers(body, envelope, () => true);
  }

  /**
   * The same for a call that is none: it brings answers but no state, as it may where the server remembers nothing. They answer what bears a name of the
   * server's own, each once, whatever is asked under that name later.
   */
  foretold(body: Uint8Array, envelope: Int32Array): readonly string[] {
    if (has(envelope, ENVELOPE.requestState)) return [];
    return this.#answers(body, envelope, ({ key, kind, isNamed }, at) => {
      if (!isNamed || this.#foretold.has(key) || member(body, at, ANSWER_MARKS[kind] ?? '') === null)
        return false;
      this.#foretold.add(key);
      return true;
    });
  }

  #answers(
    body: Uint8Array,
    envelope: Int32Array,
    counts: (question: Question, at: number) => boolean,
  ): readonly string[] {
    const responses: string[] = [];
    const at = span(envelope, ENVELOPE.inputResponses);
    if (at === null || !isObject(body, at.start)) return responses;
    eachMember(body, at.start, (key, value) => {
      const question = this.#open.get(readString(body, key.start, key.end) ?? '');
      if (question === undefined || !isObject(body, value.start) || !counts(question, value.start)) return;
      this.#open.delete(question.key);
      responses.push(
        `{"jsonrpc":"2.0","id":${question.id},"result":${decode(body, value.start, value.end)}}`,
      );
    });
    return responses;
  }

  clear(): void {
    this.#open.clear();
  }
}

/** A value as its server spells it, to be written again. */
function spelled({ bytes, envelope }: Message, place: number): string | null {
  const at = raw(bytes, envelope, place);
  return at === null ? null : decode(at);
}

/** Methods that clients can be asked, and what their keys begin with. */
const KINDS: ReadonlyMap<string, string> = new Map([
  [METHOD.elicit, 'elicitation'],
  [METHOD.sample, 'sampling'],
  [METHOD.rootsList, 'roots'],
]);

/** What an answer to a question of a kind cannot do without. */
const ANSWER_MARKS: Readonly<Record<string, string>> = Object.freeze({
  elicitation: 'action',
  sampling: 'model',
  roots: 'roots',
});

/** The capability that a question of a kind takes, as clients declare it. */
function wantedBy({ bytes, envelope }: Message, kind: string): Capabilities {
  if (kind !== 'elicitation') return { [kind]: {} };
  const at = span(envelope, ENVELOPE.params);
  const mode = at === null || !isObject(bytes, at.start) ? null : stringMember(bytes, at.start, 'mode');
  return { [kind]: { [(mode ?? 'form').slice(0, MODE_CHARS_MAX)]: {} } };
}

function declares(capabilities: Capabilities, wanted: Capabilities): boolean {
  return Object.entries(wanted).every(([kind, modes]) => {
    if (kind !== 'elicitation') return isRecord(capabilities[kind]);
    return isRecord(modes) && Object.keys(modes).every((mode) => hasMode(capabilities.elicitation, mode));
  });
}

/** True when elicitation is declared in a mode; without any mode it means forms (2025-06-18). */
export function hasMode(elicitation: unknown, mode: string): boolean {
  if (!isRecord(elicitation)) return false;
  if (Object.hasOwn(elicitation, mode)) return true;
  return mode === 'form' && elicitation.url === undefined;
}

/** `{"method","params"}` of a server's request, without what a modern client must not see. */
function inputRequest({ bytes, envelope }: Message, method: string): Uint8Array {
  const name = JSON.stringify(method);
  const at = span(envelope, ENVELOPE.params);
  if (at === null || !isObject(bytes, at.start)) return encode(`{"method":${name}}`);
  const params = bytes.subarray(at.start, at.end);
  const edits: Edit[] = [];
  let isModeless = method === METHOD.elicit;
  editObject(params, 0, edits, {
    fate: (key, value) => {
      if (key === 'mode') isModeless = false;
      // A modern client answers by calling again: nothing completes later, and there is nobody to report progress to.
      if (key === 'elicitationId' || key === 'task') return 'drop';
      if (key === '_meta' && isObject(params, value.start))
        editObject(params, value.start, edits, {
          fate: (inner) => (inner === 'progressToken' ? 'drop' : 'keep'),
        });
      return 'keep';
    },
    added: () => (isModeless ? [encode('"mode":"form"')] : []),
  });
  return encode(`{"method":${name},"params":${decode(splice(params, edits))}}`);
}
