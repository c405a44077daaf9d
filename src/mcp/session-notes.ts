// What a client set in a legacy session, by the requests that set it: the level of log messages, and subscriptions. A new session must hear of it as well.
// Called by everyone who begins lost sessions anew: bridge, upstream and server. Promises: synchronous, bounded by LIMITS.sessionNotesBytesMax; says again what the
// client said, but for `_meta`, which was of that one request.
import { concat, type Edit, encode, splice } from '../base/bytes.ts';
import { LIMITS } from '../base/limits.ts';
import { ENVELOPE, KIND, SCAN, type Scanner } from '../scan/contract.ts';
import { kindOf, span, text } from './envelope.ts';
import { isObject, type Span } from './json.ts';
import { editObject } from './object-edits.ts';
import { METHOD } from './protocol.ts';

/** A request that sets something in its session. */
export interface SessionNote {
  readonly method: string;
  /** The resource; null for what concerns none. */
  readonly uri: string | null;
  /** Its params as JSON, a copy. */
  readonly params: Uint8Array;
}

/** A client's message and what changes on its way to the server. */
interface Said {
  readonly body: Uint8Array;
  readonly envelope: Int32Array | null;
  readonly edits?: readonly Edit[];
}

const SETTING: readonly string[] = [METHOD.setLevel, METHOD.subscribe, METHOD.unsubscribe];

/** What one subscription costs besides its params. */
const SUBSCRIPTION_COST_BYTES = 128;

/** True for the methods whose requests a session remembers. */
export function setsSession(method: string | null): boolean {
  return method !== null && SETTING.includes(method);
}

/** What a request sets in its session, as the server gets to hear it; null when that is nothing. */
export function sessionNote(scanner: Scanner, { body, envelope, edits = [] }: Said): SessionNote | null {
  if (envelope === null || kindOf(envelope) !== KIND.request) return null;
  const method = text(body, envelope, ENVELOPE.method);
  if (method === null || !setsSession(method)) return null;
  const bytes = splice(body, edits);
  const final = edits.length === 0 ? envelope : new Int32Array(ENVELOPE.length);
  if (final !== envelope && scanner.scan(bytes, 0, bytes.length, final) !== SCAN.ok) return null;
  const params = span(final, ENVELOPE.params);
  if (params === null || !isObject(bytes, params.start)) return null;
  const uri = method === METHOD.setLevel ? null : text(bytes, final, ENVELOPE.uri);
  if (uri === null && method !== METHOD.setLevel) return null;
  return { method, uri, params: withoutMeta(bytes, params) };
}

function withoutMeta(bytes: Uint8Array, { start, end }: Span): Uint8Array {
  const params = bytes.slice(start, end);
  const edits: Edit[] = [];
  editObject(params, 0, edits, { fate: (key) => (key === '_meta' ? 'drop' : 'keep') });
  return splice(params, edits);
}

/** What is set in one session. */
export class SessionNotes {
  #level: Uint8Array | null = null;
  #subscriptions: Map<string, Uint8Array> | null = null;
  #bytes = 0;

  /** True while it is subscribed to anything. */
  get subscribes(): boolean {
    return this.#subscriptions !== null && this.#subscriptions.size > 0;
  }

  /** True when there is nothing to say again. */
  get isEmpty(): boolean {
    return this.#level === null && !this.subscribes;
  }

  /** Remembers it, or what it takes back. What there is no room for is not remembered. */
  take({ method, uri, params }: SessionNote): void {
    if (uri !== null) this.#takeResource(method, uri, params);
    else this.#level = params.length <= LIMITS.sessionNotesBytesMax ? params : null;
  }

  #takeResource(method: string, uri: string, params: Uint8Array): void {
    const known = this.#subscriptions?.get(uri);
    if (known !== undefined) this.#bytes -= known.length + SUBSCRIPTION_COST_BYTES;
    this.#subscriptions?.delete(uri);
    const cost = params.length + SUBSCRIPTION_COST_BYTES;
    if (method !== METHOD.subscribe || this.#bytes + cost > LIMITS.sessionNotesBytesMax) return;
    this.#bytes += cost;
    this.#subscriptions ??= new Map();
    this.#subscriptions.set(uri, params);
  }

  /** The requests that say it all again, under ids of the gateway's own. */
  repeats(): readonly Uint8Array[] {
    const level = this.#level === null ? [] : [request(0, METHOD.setLevel, this.#level)];
    const subscriptions = [...(this.#subscriptions?.values() ?? [])];
    return [...level, ...subscriptions.map((params, i) => request(i + 1, METHOD.subscribe, params))];
  }
}

function request(count: number, method: string, params: Uint8Array): Uint8Array {
  const head = `{"jsonrpc":"2.0","id":"sluice:again:${count}","method":"${method}","params":`;
  return concat([encode(head), params, encode('}')]);
}
