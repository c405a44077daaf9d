// Cuts what a client writes into lines, within a bound.
// Called by stdio.ts. Promises: a line that is too long is reported once, when it outgrows the bound, and skipped to its end: the lines
// after it are read as if nothing had happened. Source: MCP, stdio transport.
import { concat } from '../base/bytes.ts';

const LF = 0x0a;
const CR = 0x0d;

/** Who hears of the lines. */
export interface ClientLinesSink {
  /** A line without its end (LF or CR LF), never empty. */
  onLine(line: Uint8Array): void;
  /** A line has more bytes than the bound. */
  onTooLong(): void;
}

/** The lines of one client. */
export class ClientLines {
  readonly #bytesMax: number;
  readonly #sink: ClientLinesSink;
  #parts: Uint8Array[] = [];
  #bytes = 0;
  #isSkipping = false;

  constructor(bytesMax: number, sink: ClientLinesSink) {
    this.#bytesMax = bytesMax;
    this.#sink = sink;
  }

  /** Takes the next bytes, however they were cut. */
  push(bytes: Uint8Array): void {
    let start = 0;
    for (let end = bytes.indexOf(LF); end >= 0; end = bytes.indexOf(LF, start)) {
      this.#keep(bytes.subarray(start, end));
      start = end + 1;
      this.#endLine();
    }
    if (start < bytes.length) this.#keep(bytes.subarray(start));
  }

  #keep(piece: Uint8Array): void {
    if (this.#isSkipping) return;
    this.#bytes += piece.length;
    if (this.#bytes <= this.#bytesMax) {
      this.#parts.push(piece);
      return;
    }
    this.#isSkipping = true;
    this.#parts = [];
    this.#sink.onTooLong();
  }

  #endLine(): void {
    const line = this.#isSkipping ? null : concat(this.#parts);
    this.#parts = [];
    this.#bytes = 0;
    this.#isSkipping = false;
    if (line === null) return;
    const length = line.at(-1) === CR ? line.length - 1 : line.length;
    if (length > 0) this.#sink.onLine(line.subarray(0, length));
  }
}
