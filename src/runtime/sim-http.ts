// HTTP/1.1 framing for the simulated network: enough to carry well-formed requests and replies, no more.
// Called by sim-listener.ts and sim-client.ts. Promises: heads and bodies come out as they went in, whatever the cuts; it is
// no judge of hostile input (the real listener and the upstream's own parser are).
import { concat, decode, encode } from '../base/bytes.ts';
import type { HeaderRecord } from './runtime.ts';

const CR = 0x0d;
const LF = 0x0a;
const CRLF = encode('\r\n');

/** What a reader tells. */
export interface FramingEvents {
  /** First line, and headers by lower-case name with repeated ones joined. */
  onHead(firstLine: string, headers: HeaderRecord): void;
  onBody(bytes: Uint8Array): void;
  /** The message is complete. */
  onEnd(): void;
}

type Place = 'head' | 'length' | 'size' | 'chunk' | 'gap' | 'trailer' | 'close';

/** Reads messages one after another from pieces of any size. */
export class FramingReader {
  private readonly events: FramingEvents;
  private readonly bodyToClose: boolean;
  private held: Uint8Array = new Uint8Array(0);
  private place: Place = 'head';
  private left = 0;

  /** `bodyToClose`: a message without length runs until the connection ends (replies), else it has no body (requests). */
  constructor(events: FramingEvents, bodyToClose: boolean) {
    this.events = events;
    this.bodyToClose = bodyToClose;
  }

  push(bytes: Uint8Array): void {
    this.held = concat([this.held, bytes]);
    while (this.step());
  }

  /** The connection ended; true when that completed a message or came between two. */
  close(): boolean {
    if (this.place === 'close') this.finish();
    return this.place === 'head' && this.held.length === 0;
  }

  private step(): boolean {
    switch (this.place) {
      case 'head':
        return this.readHead();
      case 'size':
        return this.readSize();
      case 'gap':
      case 'trailer':
        return this.readLineAfterData();
      default:
        return this.readData();
    }
  }

  private take(count: number): Uint8Array {
    const taken = this.held.slice(0, count);
    this.held = this.held.slice(count);
    return taken;
  }

  private takeLine(): string | null {
    for (let at = 0; at + 1 < this.held.length; at++) {
      if (this.held[at] !== CR || this.held[at + 1] !== LF) continue;
      return decode(this.take(at + 2), 0, at);
    }
    return null;
  }

  private readHead(): boolean {
    const end = decode(this.held).indexOf('\r\n\r\n');
    if (end < 0) return false;
    // Heads are ASCII here, so characters and bytes count alike.
    const [first = '', ...lines] = decode(this.take(end + 4), 0, end).split('\r\n');
    const headers: Record<string, string> = {};
    for (const line of lines) {
      const colon = line.indexOf(':');
      const name = line.slice(0, colon).toLowerCase();
      const value = line.slice(colon + 1).trim();
      headers[name] = headers[name] === undefined ? value : `${headers[name]}, ${value}`;
    }
    this.left = Number(headers['content-length'] ?? 0);
    const bodiless = /^HTTP\/1\.1 (?:1\d\d|204|304)/.test(first);
    if (bodiless) this.left = 0;
    if (headers['transfer-encoding'] === 'chunked') this.place = 'size';
    else if (headers['content-length'] === undefined && this.bodyToClose && !bodiless) this.place = 'close';
    else this.place = 'length';
    this.events.onHead(first, headers);
    if (this.place === 'length' && this.left === 0) this.finish();
    return true;
  }

  private readSize(): boolean {
    const line = this.takeLine();
    if (line === null) return false;
    this.left = Number.parseInt(line, 16);
    this.place = this.left === 0 ? 'trailer' : 'chunk';
    return true;
  }

  private readLineAfterData(): boolean {
    const line = this.takeLine();
    if (line === null) return false;
    if (this.place === 'gap') this.place = 'size';
    else if (line === '') this.finish();
    return true;
  }

  private readData(): boolean {
    if (this.held.length === 0) return false;
    const bytes = this.take(
      this.place === 'close' ? this.held.length : Math.min(this.left, this.held.length),
    );
    if (this.place !== 'close') this.left -= bytes.length;
    this.events.onBody(bytes);
    if (this.place === 'chunk' && this.left === 0) this.place = 'gap';
    else if (this.place === 'length' && this.left === 0) this.finish();
    return this.held.length > 0;
  }

  private finish(): void {
    this.place = 'head';
    this.events.onEnd();
  }
}

/** The bytes of a head. */
export function writeHead(firstLine: string, headers: HeaderRecord): Uint8Array {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return encode(`${firstLine}\r\n${lines.join('')}\r\n`);
}

/** One chunk of a chunked body; no bytes give the last one. */
export function writeChunk(bytes: Uint8Array): Uint8Array {
  return concat([encode(`${bytes.length.toString(16)}\r\n`), bytes, CRLF]);
}
