// What a modern server's tool lists say that calls need: which arguments its headers mirror, and whose output legacy clients see wrapped.
// Called by call.ts. Promises: what one set of credentials was told serves no other; every tools/list that passes is read, and one is asked for when a tool is
// called that is in none; bounded in sets, tools, pages and time.
import { concat, decode, encode } from '../../base/bytes.ts';
import { GatewayError } from '../../base/errors.ts';
import { LIMITS } from '../../base/limits.ts';
import { CursorCircle } from '../../mcp/cursor-circle.ts';
import { type Message, raw, span } from '../../mcp/envelope.ts';
import { eachElement, isArray, isObject, member, stringMember } from '../../mcp/json.ts';
import { type HeaderParams, headerParamsOf } from '../../mcp/mirrored-params.ts';
import { METHOD } from '../../mcp/protocol.ts';
import { isOutputWrapped } from '../../mcp/to-legacy.ts';
import { ENVELOPE } from '../../scan/contract.ts';
import type { ClientKey } from '../../upstream/upstream.ts';
import { collect } from '../collect.ts';
import type { FaceParts } from '../face.ts';
import { postRequest } from '../member.ts';
import { modernHeaders, ownRequest } from './requests.ts';

/** What is known of one tool. */
export interface ToolFacts {
  readonly headers: HeaderParams;
  readonly isWrapped: boolean;
}

/** In whose name a list is asked for. */
export interface Asker {
  readonly credentials: string;
  readonly carried: readonly string[];
  readonly meta: Uint8Array;
  readonly client: ClientKey;
  readonly exchangeId: string;
}

interface Book {
  readonly tools: Map<string, ToolFacts>;
  /** When it was last asked for as a whole; -1: never. */
  askedAtMs: number;
  asking: Promise<void> | null;
}

const BOOKS_MAX = 64;
const TOOLS_MAX = 20_000;
/** A tool that the whole list did not name is not looked for again so soon. */
const ASK_AGAIN_MS = 5_000;
const PLAIN: ToolFacts = Object.freeze({
  headers: Object.freeze({ params: [], fault: null }),
  isWrapped: false,
});

/** The tools of one server, by credentials. */
export class ToolBooks {
  readonly #parts: FaceParts;
  readonly #books = new Map<string, Book>();

  constructor(parts: FaceParts) {
    this.#parts = parts;
  }

  /** What is known of a tool; null when it was never listed. */
  facts(credentials: string, tool: string): ToolFacts | null {
    return this.#books.get(credentials)?.tools.get(tool) ?? null;
  }

  /** Reads a result of tools/list. */
  remember(credentials: string, { bytes, envelope }: Message): void {
    const result = span(envelope, ENVELOPE.result);
    const list =
      result !== null && isObject(bytes, result.start) ? member(bytes, result.start, 'tools') : null;
    if (list === null || !isArray(bytes, list.start)) return;
    const { tools } = this.#book(credentials);
    eachElement(bytes, list.start, (start, end) => {
      if (!isObject(bytes, start)) return;
      const tool = bytes.subarray(start, end);
      const name = stringMember(tool, 0, 'name');
      if (name !== null && (tools.size < TOOLS_MAX || tools.has(name))) tools.set(name, factsOf(tool));
    });
  }

  /** Asks for the whole list, once for all who wait, unless that was just done; `isNeeded` asks in any case. Never rejects. */
  refresh(asker: Asker, isNeeded: boolean): Promise<void> {
    const book = this.#book(asker.credentials);
    const { clock } = this.#parts;
    if (book.asking !== null) return book.asking;
    if (!isNeeded && book.askedAtMs >= 0 && clock.now() - book.askedAtMs < ASK_AGAIN_MS)
      return Promise.resolve();
    book.asking = this.#ask(asker).finally(() => {
      book.asking = null;
      book.askedAtMs = clock.now();
    });
    return book.asking;
  }

  #book(credentials: string): Book {
    const known = this.#books.get(credentials);
    const book = known ?? { tools: new Map(), askedAtMs: -1, asking: null };
    // The one that was used last is the last to go.
    if (known !== undefined) this.#books.delete(credentials);
    else if (this.#books.size >= BOOKS_MAX) this.#books.delete(this.#books.keys().next().value ?? '');
    this.#books.set(credentials, book);
    return book;
  }

  async #ask(asker: Asker): Promise<void> {
    const { clock, log } = this.#parts;
    const endsAtMs = clock.now() + LIMITS.memberTimeoutMs;
    const circle = new CursorCircle();
    let cursor: Uint8Array | null = null;
    for (let page = 0; page < LIMITS.listPagesMax; page++) {
      const timeoutMs = endsAtMs - clock.now();
      if (timeoutMs <= 0) break;
      const message = await this.#page(asker, { page, cursor, timeoutMs });
      if (message instanceof GatewayError) {
        log.debug('the list of tools cannot be had', { code: message.code });
        return;
      }
      this.remember(asker.credentials, message);
      cursor = raw(message.bytes, message.envelope, ENVELOPE.nextCursor);
      if (cursor === null || circle.closes(decode(cursor))) return;
    }
  }

  async #page(
    asker: Asker,
    at: { readonly page: number; readonly cursor: Uint8Array | null; readonly timeoutMs: number },
  ): Promise<Message | GatewayError> {
    const { scanner, inner } = this.#parts;
    const { carried, meta, client, exchangeId } = asker;
    const params = at.cursor === null ? {} : { params: concat([encode('"cursor":'), at.cursor]) };
    const id = `sluice:${exchangeId}:tools:${at.page}`;
    const draft = ownRequest(scanner, { id, method: METHOD.toolsList, meta, ...params });
    const headers = modernHeaders(carried, METHOD.toolsList);
    const request = postRequest({ era: 'modern', headers, session: null, exchangeId, client }, draft);
    const reply = await collect(this.#parts, inner, request, { timeoutMs: at.timeoutMs });
    if (reply instanceof GatewayError) return reply;
    return reply.message ?? new GatewayError('GW_UPSTREAM_MESSAGE', `it answered ${reply.status}`);
  }
}

function factsOf(tool: Uint8Array): ToolFacts {
  const headers = headerParamsOf(tool);
  const isWrapped = isOutputWrapped(tool);
  return headers.params.length === 0 && !isWrapped ? PLAIN : { headers, isWrapped };
}
