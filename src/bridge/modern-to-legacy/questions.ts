// What a legacy server asked in the middle of one call, as the input requests of a modern result, and the answers on their way back.
// Called by call.ts. Promises: a client is asked only what its capabilities declare; params and answers keep their bytes but for what one era alone
// knows; an answer goes out once, under the server's own id.
import { concat, decode, type Edit, encode, splice } from '../../base/bytes.ts';
import { isRecord, type Message, rawKey, span, text } from '../../mcp/envelope.ts';
import { eachMember, isObject, readString, stringMember } from '../../mcp/json.ts';
import { editObject } from '../../mcp/object-edits.ts';
import { METHOD } from '../../mcp/protocol.ts';
import { ENVELOPE } from '../../scan/contract.ts';

/** A server's request that waits for its answer. */
interface Question {
  readonly key: string;
  /** The server's own id, as it spells it. */
  readonly id: string;
  /** The value under `inputRequests`. */
  readonly request: Uint8Array;
}

type Capabilities = Readonly<Record<string, unknown>>;

/** Questions that one call may leave open: no client could answer more at once. */
const QUESTIONS_MAX = 64;

/** The open questions of one call. */
export class Questions {
  readonly #open = new Map<string, Question>();
  #last = 0;

  get size(): number {
    return this.#open.size;
  }

  /** Takes a server's request. Returns why the client cannot be asked, or null. */
  take(message: Message, capabilities: Capabilities): string | null {
    const { bytes, envelope } = message;
    const method = text(bytes, envelope, ENVELOPE.method) ?? '';
    const id = rawKey(bytes, envelope, ENVELOPE.id);
    const why = undeclared(message, method, capabilities);
    if (why !== null || id === null) return why ?? 'it has no id';
    if (this.#open.size >= QUESTIONS_MAX) return `${QUESTIONS_MAX} questions of this call are open`;
    const key = `${KINDS[method] ?? 'input'}-${++this.#last}`;
    this.#open.set(key, { key, id, request: inputRequest(message, method) });
    return null;
  }

  /** The server takes a question back. */
  withdraw({ bytes, envelope }: Message): void {
    const id = rawKey(bytes, envelope, ENVELOPE.requestId);
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
    const responses: string[] = [];
    const at = span(envelope, ENVELOPE.inputResponses);
    if (at === null || !isObject(body, at.start)) return responses;
    eachMember(body, at.start, (key, value) => {
      const question = this.#open.get(readString(body, key.start, key.end) ?? '');
      if (question === undefined || !isObject(body, value.start)) return;
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

/** Methods that clients can be asked, and what their keys begin with. */
const KINDS: Readonly<Record<string, string>> = Object.freeze({
  [METHOD.elicit]: 'elicitation',
  [METHOD.sample]: 'sampling',
  [METHOD.rootsList]: 'roots',
});

/** Why a client with these capabilities is not asked, or null. */
function undeclared({ bytes, envelope }: Message, method: string, capabilities: Capabilities): string | null {
  const { elicitation, sampling, roots } = capabilities;
  const params = span(envelope, ENVELOPE.params);
  const at = params !== null && isObject(bytes, params.start) ? params.start : -1;
  switch (method) {
    case METHOD.elicit: {
      const mode = (at < 0 ? null : stringMember(bytes, at, 'mode')) ?? 'form';
      return hasMode(elicitation, mode)
        ? null
        : `it does not declare elicitation in mode "${mode.slice(0, 20)}"`;
    }
    case METHOD.sample:
      return isRecord(sampling) ? null : 'it does not declare sampling';
    case METHOD.rootsList:
      return isRecord(roots) ? null : 'it does not declare roots';
    default:
      return 'it knows no such method';
  }
}

/** True when elicitation is declared in a mode; without any mode it means forms (2025-06-18). */
export function hasMode(elicitation: unknown, mode: string): boolean {
  if (!isRecord(elicitation)) return false;
  if (elicitation[mode] !== undefined) return true;
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
