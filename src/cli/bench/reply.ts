// Reads one HTTP/1.1 reply after another from one connection, as little of it as tells that the right answer came.
// Called by caller.ts. Promises: any split of the bytes gives the same verdict; plain bodies, chunked ones and event streams; the hot path
// (a whole small reply with the head of the last one) searches nothing but the id. A state machine, hence its length.
import { NO_ANSWER, verdictOf } from './verdict.ts';

/** Bodies up to this many bytes are looked at in full, of longer ones only the two ends: an id and a result do not hide in the middle. */
const WINDOW_BYTES = 16_384;
const TAIL_BYTES = 1_024;
const LINE_BYTES_MAX = 65_536;
const CR = 13;
const LF = 10;

/** How a body is framed, as far as the head says. */
interface Framing {
  readonly status: number;
  readonly stream: boolean;
  readonly chunked: boolean;
  /** Content-Length, or -1. */
  readonly length: number;
  readonly keepAlive: boolean;
  readonly session: string | null;
}

type Place = 'head' | 'body' | 'size' | 'chunk' | 'chunk-end' | 'trailer' | 'over';

/** The reader of one connection. */
export class ReplyReader {
  /** Set when the reply's JSON-RPC answer has been seen, which in an event stream comes before the end. */
  answered = false;
  /** Set when the whole reply has been read. */
  ended = false;
  /** What is wrong with the answer, or null. Valid once answered or ended. */
  fault: string | null = null;
  keepAlive = true;
  session: string | null = null;
  bytes = 0;
  #wantsAnswer = true;
  #id = 0;
  #place: Place = 'head';
  #framing: Framing | null = null;
  #knownHead = '';
  #knownFraming: Framing | null = null;
  #headBytes: Uint8Array | null = null;
  #left = 0;
  #line = '';
  #text = '';
  #tail = '';
  #cut = false;
  #scanned = 0;

  /** Makes ready for a reply. `id` 0: any reply with a status of success will do. */
  begin(id: number): void {
    this.answered = false;
    this.ended = false;
    this.fault = null;
    this.keepAlive = true;
    this.session = null;
    this.bytes = 0;
    this.#wantsAnswer = id !== 0;
    this.#id = id;
    this.#place = 'head';
    this.#headBytes = null;
    this.#line = '';
    this.#text = '';
    this.#tail = '';
    this.#cut = false;
    this.#scanned = 0;
  }

  /** Takes bytes as they came. */
  feed(bytes: Uint8Array): void {
    this.bytes += bytes.length;
    const chunk = asBuffer(bytes);
    let at = 0;
    while (at < chunk.length && this.#place !== 'over') {
      at = this.#place === 'head' ? this.#readHead(chunk, at) : this.#readBody(chunk, at);
    }
    if (at < chunk.length) this.#spoil('bytes that nobody asked for');
  }

  /** The peer has closed: the end of a body without framing, a fault anywhere else. */
  close(): void {
    if (this.ended) return;
    if (this.#place === 'body' && this.#framing?.length === -1) this.#finish();
    else this.#spoil('closed before the reply was whole');
  }

  // ── the head ────────────────────────────────────────────────────────────────────────────────────────────────────

  #readHead(chunk: Buffer, from: number): number {
    const kept = this.#headBytes;
    const bytes = kept === null ? chunk : Buffer.concat([kept, chunk.subarray(from)]);
    const start = kept === null ? from : 0;
    // Offsets in `bytes`, less this, are offsets in `chunk`.
    const shift = kept === null ? 0 : kept.length - from;
    this.#headBytes = null;
    const text = bytes.toString('latin1', start, Math.min(bytes.length, start + WINDOW_BYTES));
    if (this.#knownFraming !== null && text.startsWith(this.#knownHead))
      return this.#beginBody(this.#knownFraming, bytes, start, text, this.#knownHead.length) - shift;
    const end = text.indexOf('\r\n\r\n');
    if (end < 0) {
      if (text.length === WINDOW_BYTES) this.#spoil('a head without end');
      else this.#headBytes = bytes.subarray(start);
      return chunk.length;
    }
    const framing = readFraming(text.slice(0, end));
    if (framing === null) {
      this.#spoil('a head that is no HTTP/1.1');
      return chunk.length;
    }
    // 100 and its like come before the reply itself.
    if (framing.status < 200) return start + end + 4 - shift;
    this.#knownHead = text.slice(0, end + 4);
    this.#knownFraming = framing;
    return this.#beginBody(framing, bytes, start, text, end + 4) - shift;
  }

  /** `text` is what `bytes` hold from `start` on, `offset` where the body is in it. Returns up to where `bytes` were taken. */
  #beginBody(framing: Framing, bytes: Buffer, start: number, text: string, offset: number): number {
    this.#framing = framing;
    this.keepAlive = framing.keepAlive;
    this.session = framing.session;
    const { length } = framing;
    const at = start + offset;
    if (length === 0 || framing.status === 204 || framing.status === 304) {
      this.#finish();
      return at;
    }
    if (length > 0 && !framing.stream && offset + length <= text.length) {
      this.#text = text.slice(offset, offset + length);
      this.#finish();
      return at + length;
    }
    this.#left = length;
    this.#place = framing.chunked ? 'size' : 'body';
    return this.#readBody(bytes, at);
  }

  // ── the body ────────────────────────────────────────────────────────────────────────────────────────────────────

  #readBody(chunk: Buffer, from: number): number {
    let at = from;
    while (at < chunk.length && this.#place !== 'over') {
      switch (this.#place) {
        case 'body':
        case 'chunk':
          at = this.#readContent(chunk, at);
          break;
        default:
          at = this.#readLine(chunk, at);
      }
    }
    return at;
  }

  #readContent(chunk: Buffer, at: number): number {
    const end = this.#left < 0 ? chunk.length : Math.min(chunk.length, at + this.#left);
    this.#take(chunk, at, end);
    if (this.#left < 0) return end;
    this.#left -= end - at;
    if (this.#left > 0) return end;
    if (this.#place === 'chunk') this.#place = 'chunk-end';
    else this.#finish();
    return end;
  }

  /** The lines between chunks: sizes, the blank after each chunk, trailers. */
  #readLine(chunk: Buffer, from: number): number {
    let at = from;
    while (at < chunk.length && chunk[at] !== LF) at++;
    const end = at > from && chunk[at - 1] === CR ? at - 1 : at;
    this.#line += chunk.toString('latin1', from, end);
    if (this.#line.length > LINE_BYTES_MAX) this.#spoil('a chunk size without end');
    if (at === chunk.length) return at;
    const line = this.#line.endsWith('\r') ? this.#line.slice(0, -1) : this.#line;
    this.#line = '';
    if (this.#place === 'chunk-end')
      this.#place = line === '' ? 'size' : this.#spoil('a chunk of the wrong size');
    else if (this.#place === 'trailer') {
      if (line === '') this.#finish();
    } else if (!/^[0-9a-f]{1,8}(?:;.*)?\s*$/i.test(line)) this.#spoil('a chunk size that is no number');
    else {
      this.#left = Number.parseInt(line, 16);
      this.#place = this.#left === 0 ? 'trailer' : 'chunk';
    }
    return at + 1;
  }

  #take(chunk: Buffer, from: number, end: number): void {
    if (this.#framing?.stream === true) {
      this.#text += chunk.toString('latin1', from, end).replaceAll('\r', '');
      this.#readEvents();
      return;
    }
    const room = WINDOW_BYTES - this.#text.length;
    if (room > 0) this.#text += chunk.toString('latin1', from, Math.min(end, from + room));
    if (end - from <= room) return;
    this.#cut = true;
    this.#tail = (
      this.#tail + chunk.toString('latin1', Math.max(from + Math.max(room, 0), end - TAIL_BYTES), end)
    ).slice(-TAIL_BYTES);
  }

  /** Every event that is whole; the answer is the first that bears the id. */
  #readEvents(): void {
    if (this.answered) {
      this.#text = '';
      return;
    }
    for (;;) {
      const end = this.#text.indexOf('\n\n', Math.max(0, this.#scanned - 1));
      if (end < 0) break;
      const event = this.#text.slice(0, end);
      this.#text = this.#text.slice(end + 2);
      this.#scanned = 0;
      if (this.answered) continue;
      const verdict = verdictOf(dataOf(event), this.#id);
      if (verdict === NO_ANSWER) continue;
      this.answered = true;
      this.fault = this.#statusFault() ?? verdict;
    }
    this.#scanned = this.#text.length;
  }

  #finish(): void {
    this.#place = 'over';
    this.ended = true;
    if (this.answered) return;
    this.fault = this.#statusFault();
    if (this.fault === null && this.#wantsAnswer) {
      if (this.#framing?.stream === true) this.fault = 'an event stream without the answer';
      else this.fault = verdictOf(this.#cut ? `${this.#text}${this.#tail}` : this.#text, this.#id);
    }
    this.answered = true;
  }

  #statusFault(): string | null {
    const status = this.#framing?.status ?? 0;
    const good = this.#wantsAnswer ? status === 200 : status >= 200 && status < 300;
    return good ? null : `HTTP ${status}`;
  }

  #spoil(why: string): Place {
    this.fault ??= why;
    this.keepAlive = false;
    this.answered = true;
    this.ended = true;
    this.#place = 'over';
    return 'over';
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return bytes instanceof Buffer ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** The data of one event. */
function dataOf(event: string): string {
  return event
    .split('\n')
    .filter((line) => line.startsWith('data:'))
    .map((line) => line.slice(line.startsWith('data: ') ? 6 : 5))
    .join('\n');
}

/** The head, without its blank line, or null when it is none of HTTP/1. */
function readFraming(head: string): Framing | null {
  const first = /^HTTP\/1\.([01]) (\d{3})(?: |\r|$)/.exec(head);
  if (first === null) return null;
  const value = (name: string): string | null =>
    new RegExp(`\\r\\n${name}:[ \\t]*([^\\r]*)`, 'i').exec(head)?.[1]?.trim() ?? null;
  const connection = (value('connection') ?? '').toLowerCase();
  const chunked = (value('transfer-encoding') ?? '').toLowerCase().includes('chunked');
  const length = value('content-length');
  if (length !== null && !/^\d{1,15}$/.test(length)) return null;
  const framed = chunked || length !== null;
  return {
    status: Number(first[2]),
    stream: (value('content-type') ?? '').toLowerCase().startsWith('text/event-stream'),
    chunked,
    length: chunked || length === null ? -1 : Number(length),
    keepAlive:
      framed && (first[1] === '1' ? !connection.includes('close') : connection.includes('keep-alive')),
    session: value('mcp-session-id'),
  };
}
