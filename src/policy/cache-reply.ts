// An answer that is kept: its bytes, and where each client's own id and what is left of its time go.
// Called by cache.ts and cache-flight.ts. Promises: what goes out differs from what the server said in the id, in ttlMs (and in ttlMs and cacheScope, where the
// server left them out) and, when it is stale, in one key of `_meta`; making one parses nothing. Source: MCP 2026-07-28, caching.
import { type Edit, encode, orderEdits, splice } from '../base/bytes.ts';
import { type Message, span, text } from '../mcp/envelope.ts';
import { eachMember, isObject, readString, type Span } from '../mcp/json.ts';
import { editObject, putFirst, rawMember } from '../mcp/object-edits.ts';
import type { Caching } from '../mcp/to-modern.ts';
import { ENVELOPE } from '../scan/contract.ts';

/** Key of `_meta` that tells a client that the server could not be asked, and this is what it said before. */
const STALE_META = 'sluice/stale';

/** What an answer says of itself. */
export interface Cacheable {
  readonly reply: StoredReply;
  readonly ttlMs: number;
  /** Who may be served: everyone, or whoever asked for it. */
  readonly scope: Caching['cacheScope'];
  /** True when something was put in that the server left out. */
  readonly isCompleted: boolean;
}

/** No answer is kept for longer, whatever its server says: a day, as the official SDK has it. */
const TTL_MS_MAX = 24 * 60 * 60_000;

const STALE_MEMBER = encode(`"${STALE_META}":true`);
const STALE_OBJECT = encode(`"_meta":{"${STALE_META}":true}`);

/** What goes where an edit begins. */
type Slot = 'id' | 'ttl';

/** A complete answer to serve again. */
export class StoredReply {
  readonly bytes: Uint8Array;
  /** The bytes between the slots, and which slot follows each but the last. */
  readonly #parts: readonly Uint8Array[];
  readonly #slots: readonly Slot[];
  readonly #partBytes: number;
  /** Where a mark in `_meta` goes, and what it is. */
  readonly #mark: Edit;
  readonly #id: Span;
  readonly #ttl: Span | null;

  /** `ttl` is where the answer says for how long it holds; null: it does not. */
  constructor({ bytes, envelope }: Message, ttl: Span | null) {
    const id = span(envelope, ENVELOPE.id) ?? { start: 0, end: 0 };
    const slots: { readonly slot: Slot; readonly at: Span }[] = [{ slot: 'id', at: id }];
    if (ttl !== null) slots.push({ slot: 'ttl', at: ttl });
    slots.sort((a, b) => a.at.start - b.at.start);
    let from = 0;
    const parts = slots.map(({ at }) => {
      const part = bytes.subarray(from, at.start);
      from = at.end;
      return part;
    });
    this.bytes = bytes;
    this.#parts = [...parts, bytes.subarray(from)];
    this.#slots = slots.map(({ slot }) => slot);
    this.#partBytes = this.#parts.reduce((sum, part) => sum + part.length, 0);
    this.#mark = markOf(bytes, envelope);
    this.#id = id;
    this.#ttl = ttl;
  }

  /** The message for a client: its raw id, and for how long the answer still holds. */
  render(id: Uint8Array, ttlMs: number): Uint8Array {
    const leftMs = ttlMs > 0 ? Math.floor(ttlMs) : 0;
    const digits = this.#ttl === null ? 0 : digitsOf(leftMs);
    const whole = new Uint8Array(this.#partBytes + id.length + digits);
    let at = 0;
    for (let i = 0; i < this.#parts.length; i++) {
      const part = this.#parts[i];
      if (part === undefined) break;
      whole.set(part, at);
      at += part.length;
      const slot = this.#slots[i];
      if (slot === 'id') {
        whole.set(id, at);
        at += id.length;
      } else if (slot === 'ttl') {
        writeDigits(whole, at, digits, leftMs);
        at += digits;
      }
    }
    return whole;
  }

  /** The message for a client whose server cannot be asked: it holds no longer, and says so. */
  renderStale(id: Uint8Array): Uint8Array {
    const edits: Edit[] = [this.#mark, { ...this.#id, insert: id }];
    if (this.#ttl !== null) edits.push({ ...this.#ttl, insert: encode('0') });
    return splice(this.bytes, edits);
  }
}

function digitsOf(value: number): number {
  let digits = 1;
  for (let rest = value; rest >= 10; rest = Math.floor(rest / 10)) digits++;
  return digits;
}

function writeDigits(target: Uint8Array, at: number, digits: number, value: number): void {
  let rest = value;
  for (let i = at + digits - 1; i >= at; i--) {
    target[i] = 0x30 + (rest % 10);
    rest = Math.floor(rest / 10);
  }
}

/** The edit that puts the mark of a stale answer in front of what `_meta` holds, or `_meta` in front of what the result holds. */
function markOf(bytes: Uint8Array, envelope: Int32Array): Edit {
  const result = span(envelope, ENVELOPE.result)?.start ?? 0;
  const meta = span(envelope, ENVELOPE.resultMeta);
  const isInMeta = meta !== null && isObject(bytes, meta.start);
  if (meta !== null && !isInMeta)
    return { ...meta, insert: STALE_OBJECT.subarray(STALE_OBJECT.indexOf(0x7b)) };
  return isInMeta ? putFirst(bytes, meta.start, STALE_MEMBER) : putFirst(bytes, result, STALE_OBJECT);
}

/** What a result says about being kept. */
interface Said {
  ttl: Span | null;
  scope: Span | null;
  /** True when it says one of them twice, so that two readers could differ. */
  isAmbiguous: boolean;
  /** True for a tool's result that is a failure. */
  isError: boolean;
}

function readResult(bytes: Uint8Array, at: number): Said {
  const said: Said = { ttl: null, scope: null, isAmbiguous: false, isError: false };
  eachMember(bytes, at, (key, value) => {
    const name = readString(bytes, key.start, key.end);
    if (name === 'ttlMs') {
      said.isAmbiguous ||= said.ttl !== null;
      said.ttl = value;
    } else if (name === 'cacheScope') {
      said.isAmbiguous ||= said.scope !== null;
      said.scope = value;
    } else if (name === 'isError') said.isError ||= bytes[value.start] !== 0x66;
  });
  return said;
}

/** The start of a complete result, or -1. */
function completeResult({ bytes, envelope }: Message): number {
  const result = span(envelope, ENVELOPE.result);
  if (result === null || !isObject(bytes, result.start)) return -1;
  return text(bytes, envelope, ENVELOPE.resultType) === 'complete' ? result.start : -1;
}

/** Milliseconds that a raw value says; null when it is no count of them. */
function ttlOf(bytes: Uint8Array, at: Span): number | null {
  if (at.end - at.start > 15) return null;
  let ttlMs = 0;
  for (let i = at.start; i < at.end; i++) {
    const digit = (bytes[i] ?? 0) - 0x30;
    if (digit < 0 || digit > 9) return null;
    ttlMs = ttlMs * 10 + digit;
  }
  return ttlMs;
}

function scopeOf(bytes: Uint8Array, at: Span): Caching['cacheScope'] | null {
  const scope = readString(bytes, at.start, at.end);
  return scope === 'public' || scope === 'private' ? scope : null;
}

/** What a list, a discovery or a resource allows to be done with it, `unsaid` standing for what it leaves out; null when it is not to be kept. `rescan` reads a message anew. */
export function cacheableResult(
  message: Message,
  unsaid: Caching,
  rescan: (bytes: Uint8Array) => Message | null,
): Cacheable | null {
  const at = completeResult(message);
  if (at < 0) return null;
  const { bytes } = message;
  const said = readResult(bytes, at);
  if (said.isAmbiguous) return null;
  const saidMs = said.ttl === null ? null : ttlOf(bytes, said.ttl);
  const saidScope = said.scope === null ? null : scopeOf(bytes, said.scope);
  const ttlMs = Math.min(saidMs ?? unsaid.ttlMs, TTL_MS_MAX);
  const scope = saidScope ?? unsaid.cacheScope;
  if (ttlMs <= 0) return null;
  const isCompleted = saidMs === null || saidScope === null;
  const whole = isCompleted ? rescan(completed(bytes, at, ttlMs, scope)) : owned(message);
  const result = whole === null ? null : span(whole.envelope, ENVELOPE.result);
  if (whole === null || result === null) return null;
  const ttl = isCompleted ? readResult(whole.bytes, result.start).ttl : said.ttl;
  return { reply: new StoredReply(whole, ttl), ttlMs, scope, isCompleted };
}

/** The same for the result of a tool, which says nothing of being kept: its server's configuration does. */
export function cacheableCall(message: Message, ttlMs: number): Cacheable | null {
  const at = completeResult(message);
  if (at < 0 || readResult(message.bytes, at).isError) return null;
  return { reply: new StoredReply(owned(message), null), ttlMs, scope: 'private', isCompleted: false };
}

/** The answer with what it leaves out of ttlMs and cacheScope, or says in a way that nobody understands. */
function completed(bytes: Uint8Array, at: number, ttlMs: number, scope: Caching['cacheScope']): Uint8Array {
  const lacking = new Map([
    ['ttlMs', encode(String(ttlMs))],
    ['cacheScope', encode(`"${scope}"`)],
  ]);
  const edits: Edit[] = [];
  editObject(bytes, at, edits, {
    fate: (key) => {
      const value = lacking.get(key);
      lacking.delete(key);
      return value ?? 'keep';
    },
    added: () => [...lacking].map(([key, value]) => rawMember(key, value)),
  });
  return splice(bytes, orderEdits(edits));
}

/** A message whose bytes keep nothing else alive: a view would keep all that came with it. */
function owned(message: Message): Message {
  const { bytes, envelope } = message;
  return bytes.length === bytes.buffer.byteLength ? message : { bytes: bytes.slice(), envelope };
}
