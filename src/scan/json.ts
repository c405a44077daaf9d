// One pass over a message: the whole text checked, and the spans, kind and flags of an MCP envelope taken on the way.
// Called by portable.ts. Promises: what contract.ts says of scan(); makes nothing per call.
import { EMPTY } from '../base/bytes.ts';
import { ENVELOPE, FLAG, KIND, SCAN } from './contract.ts';
import {
  CLOSE_ARRAY,
  CLOSE_OBJECT,
  COMMA,
  DEEP,
  isDigit,
  JsonGrammar,
  MINUS,
  OPEN_ARRAY,
  OPEN_OBJECT,
  QUOTE,
  SYNTAX,
} from './grammar.ts';
import { type KeyLevel, type KnownKey, TOP } from './keys.ts';
import { isUtf8 } from './utf8.ts';

const NOTHING = new Int32Array(0);
const VERSION = new TextEncoder().encode('2.0');

/** Reads JSON texts, one at a time. One instance serves a thread: it holds only scratch space. */
export class EnvelopeReader extends JsonGrammar {
  private envelope: Int32Array = NOTHING;
  private flags = 0;
  private batchCount = 0;

  /** Fills `envelope` from bytes[start…end) and returns a SCAN code, exactly as contract.ts words it. */
  read(bytes: Uint8Array, start: number, end: number, envelope: Int32Array): number {
    this.turnTo(bytes, end);
    this.envelope = envelope;
    this.flags = 0;
    this.batchCount = 0;
    envelope.fill(-1, ENVELOPE.jsonrpc, ENVELOPE.length);
    const after = this.text(this.blank(start));
    const code = after < 0 ? this.verdict(start, after) : SCAN.ok;
    if (code === SCAN.ok) {
      envelope[ENVELOPE.flags] = this.hasNewline ? this.flags | FLAG.newline : this.flags;
      envelope[ENVELOPE.depth] = this.deepest;
      envelope[ENVELOPE.batchCount] = this.batchCount;
    } else {
      envelope.fill(0, 0, ENVELOPE.jsonrpc);
      envelope.fill(-1, ENVELOPE.jsonrpc, ENVELOPE.length);
    }
    // A large message must not live on because it was the last one to be scanned.
    this.turnTo(EMPTY, 0);
    this.envelope = NOTHING;
    return code;
  }

  private verdict(start: number, fault: number): number {
    if (!isUtf8(this.bytes, start, this.end)) return SCAN.utf8;
    if (this.blank(start) === this.end) return SCAN.empty;
    return fault === DEEP ? SCAN.depth : SCAN.syntax;
  }

  /** The one value of the text and the white space behind it. */
  private text(at: number): number {
    const first = this.peek(at);
    let after: number;
    if (first === OPEN_OBJECT) {
      after = this.object(at, TOP, 1);
      if (after >= 0) this.judge();
    } else if (first === OPEN_ARRAY) {
      after = this.batch(at);
      this.envelope[ENVELOPE.kind] = KIND.batch;
    } else {
      after = this.value(at, 0);
      this.envelope[ENVELOPE.kind] = KIND.none;
    }
    if (after < 0) return after;
    after = this.blank(after);
    return after === this.end ? after : SYNTAX;
  }

  private batch(open: number): number {
    this.deepest = 1;
    let at = this.blank(open + 1);
    if (this.peek(at) === CLOSE_ARRAY) {
      this.flags |= FLAG.emptyBatch;
      return at + 1;
    }
    for (;;) {
      at = this.value(at, 1);
      if (at < 0) return at;
      this.batchCount++;
      at = this.blank(at);
      const byte = this.peek(at);
      if (byte === CLOSE_ARRAY) return at + 1;
      if (byte !== COMMA) return SYNTAX;
      at = this.blank(at + 1);
    }
  }

  /** An object some of whose keys are known. It is the `depth`-th container from outside; at most four deep. */
  private object(open: number, level: KeyLevel, depth: number): number {
    if (depth > this.deepest) this.deepest = depth;
    let seen = 0;
    let at = this.blank(open + 1);
    if (this.peek(at) === CLOSE_OBJECT) return at + 1;
    for (;;) {
      if (this.peek(at) !== QUOTE) return SYNTAX;
      const keyEnd = this.string(at);
      if (keyEnd < 0) return keyEnd;
      const known = this.find(level, at, keyEnd);
      at = this.colon(keyEnd);
      if (at < 0) return at;
      const valueStart = at;
      let child: KeyLevel | null = null;
      if (known !== null) {
        if ((seen & known.bit) !== 0) this.flags |= level.duplicate;
        seen |= known.bit;
        child = known.child;
        if (child !== null) this.empty(child);
      }
      at =
        child !== null && this.peek(at) === OPEN_OBJECT
          ? this.object(at, child, depth + 1)
          : this.value(at, depth);
      if (at < 0) return at;
      if (known !== null) {
        this.envelope[known.slot] = valueStart;
        this.envelope[known.slot + 1] = at;
      }
      at = this.blank(at);
      const byte = this.peek(at);
      if (byte === CLOSE_OBJECT) return at + 1;
      if (byte !== COMMA) return SYNTAX;
      at = this.blank(at + 1);
    }
  }

  private empty(level: KeyLevel): void {
    for (const slot of level.slots) {
      this.envelope[slot] = -1;
      this.envelope[slot + 1] = -1;
    }
  }

  /** The known key written as the string bytes[open…close), quotes included. */
  private find(level: KeyLevel, open: number, close: number): KnownKey | null {
    if (this.hadEscape) {
      const length = this.unescape(open, close);
      return length < 0 ? null : match(level, this.unescaped, 0, length);
    }
    return match(level, this.bytes, open + 1, close - open - 2);
  }

  /** Sets kind and the flags that speak of values, once the spans of an object are known. */
  private judge(): void {
    const { envelope } = this;
    const hasMethod = this.has(ENVELOPE.method);
    const hasResult = this.has(ENVELOPE.result);
    const hasError = this.has(ENVELOPE.error);
    if (hasMethod) envelope[ENVELOPE.kind] = this.has(ENVELOPE.id) ? KIND.request : KIND.notification;
    else if (hasError) envelope[ENVELOPE.kind] = KIND.error;
    else envelope[ENVELOPE.kind] = hasResult ? KIND.result : KIND.none;
    if (hasResult ? hasError || hasMethod : hasError && hasMethod) this.flags |= FLAG.mixed;
    if (!this.isVersion2()) this.flags |= FLAG.notVersion2;
    if (this.has(ENVELOPE.id) && !this.isId()) this.flags |= FLAG.badId;
    if (hasMethod && this.first(ENVELOPE.method) !== QUOTE) this.flags |= FLAG.badMethod;
    const params = this.first(ENVELOPE.params);
    if (this.has(ENVELOPE.params) && params !== OPEN_OBJECT && params !== OPEN_ARRAY)
      this.flags |= FLAG.badParams;
    if (this.has(ENVELOPE.meta) && this.first(ENVELOPE.meta) !== OPEN_OBJECT) this.flags |= FLAG.badMeta;
  }

  private has(slot: number): boolean {
    return (this.envelope[slot] ?? -1) >= 0;
  }

  private first(slot: number): number {
    return this.peek(this.envelope[slot] ?? 0);
  }

  private isVersion2(): boolean {
    if (!this.has(ENVELOPE.jsonrpc) || this.first(ENVELOPE.jsonrpc) !== QUOTE) return false;
    const length = this.unescape(
      this.envelope[ENVELOPE.jsonrpc] ?? 0,
      this.envelope[ENVELOPE.jsonrpc + 1] ?? 0,
    );
    if (length !== VERSION.length) return false;
    for (let i = 0; i < length; i++) if (this.unescaped[i] !== VERSION[i]) return false;
    return true;
  }

  private isId(): boolean {
    const first = this.first(ENVELOPE.id);
    if (first === QUOTE) return true;
    if (first !== MINUS && !isDigit(first)) return false;
    const end = this.envelope[ENVELOPE.id + 1] ?? 0;
    for (let at = this.envelope[ENVELOPE.id] ?? 0; at < end; at++) {
      const byte = this.bytes[at] ?? 0;
      if (byte !== MINUS && !isDigit(byte)) return false;
    }
    return true;
  }
}

function match(level: KeyLevel, bytes: Uint8Array, start: number, length: number): KnownKey | null {
  const candidates = level.byLength[length];
  if (candidates === undefined) return null;
  next: for (const candidate of candidates) {
    for (let i = 0; i < length; i++) if (bytes[start + i] !== candidate.text[i]) continue next;
    return candidate;
  }
  return null;
}
