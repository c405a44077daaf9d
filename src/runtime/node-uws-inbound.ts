// One request on uWebSockets.js.
// Called by node-uws-listener.ts and node-uws-stream.ts. Promises: the head is copied in one pass, since the library's own is dead once its handler has returned;
// a head that two readers could take differently is told, with the status to refuse it with.
import { concat } from '../base/bytes.ts';
import { GatewayError } from '../base/errors.ts';
import { pathOf } from './http1-head.ts';
import type { UwsRequest, UwsResponse } from './node-uws.ts';
import type { Inbound } from './runtime.ts';

/** What a listener's requests share. */
export interface UwsShared {
  readonly bodyBytesMax: number;
  /** A request is over: its reply is complete, or its client has left. */
  ended(): void;
}

/** Characters that are decoded from more than one byte. */
const BEYOND_ASCII = /[^\t\x20-\x7e]/;
/** Stands for bytes that are no UTF-8. */
const LOST = '\ufffd';

/** A request under way. */
export class UwsInbound implements Inbound {
  readonly response: UwsResponse;
  readonly method: string;
  readonly path: string;
  readonly query: string;
  /** Status to refuse the head with, 0 when it is sound. */
  readonly fault: number;
  /** Its connection ends with the reply. */
  mustClose = false;
  private readonly shared: UwsShared;
  private readonly names: string[] = [];
  private readonly values: string[] = [];
  private abortCallback: (() => void) | null = null;
  private rejectBody: ((error: GatewayError) => void) | null = null;
  private over = false;
  private peerText: string | null = null;

  constructor(shared: UwsShared, response: UwsResponse, request: UwsRequest) {
    this.shared = shared;
    this.response = response;
    this.method = request.getCaseSensitiveMethod();
    const url = request.getUrl();
    this.query = request.getQuery() ?? '';
    this.path = pathOf(url);
    this.fault = this.take(request, url);
    response.onAborted(() => this.left());
  }

  /** Copies the headers; the status to refuse them with, or 0. */
  private take(request: UwsRequest, url: string): number {
    const { names, values } = this;
    // A fragment is never sent: whoever sends one may mean anything.
    let fault = url.includes('#') || this.query.includes('#') ? 400 : 0;
    request.forEach((name, sent) => {
      const value = BEYOND_ASCII.test(sent) ? asBytes(sent) : sent;
      // The library takes chunk sizes that are none (the letter g, blanks and anything else behind the digits, a bare LF) and hides the framing: nobody could tell
      // where such a body ends.
      if (name === 'transfer-encoding') fault = fault === 0 && value.toLowerCase() === 'chunked' ? 411 : 400;
      if (value.includes(LOST)) fault ||= 400;
      const at = names.indexOf(name);
      if (at < 0) {
        names.push(name);
        values.push(value);
        return;
      }
      // Of two lengths and two hosts the library knows the first only; whoever stands in front of us may know the other.
      if (name === 'content-length' || name === 'host') fault ||= 400;
      values[at] = `${values[at]}, ${value}`;
    });
    return fault;
  }

  get peer(): string {
    if (this.peerText === null)
      this.peerText = this.over ? '' : addressOf(this.response.getRemoteAddressAsText());
    return this.peerText;
  }

  header(name: string): string | null {
    const at = this.names.indexOf(name);
    return at < 0 ? null : (this.values[at] ?? null);
  }

  eachHeader(visit: (name: string, value: string) => void): void {
    const { names, values } = this;
    for (let i = 0; i < names.length; i++) visit(names[i] ?? '', values[i] ?? '');
  }

  /** The body comes when the handler has returned. */
  get wholeBody(): null {
    return null;
  }

  readBody(): Promise<Uint8Array> {
    const { bodyBytesMax } = this.shared;
    if (Number(this.header('content-length') ?? 0) > bodyBytesMax) return Promise.reject(this.tooLarge());
    return new Promise((resolve, reject) => {
      let parts: Uint8Array[] | null = null;
      let bytes = 0;
      this.rejectBody = reject;
      this.response.onData((chunk, isLast) => {
        bytes += chunk.byteLength;
        if (bytes > bodyBytesMax) return reject(this.tooLarge());
        const part = kept(chunk);
        if (isLast && parts === null) resolve(part);
        else {
          parts ??= [];
          parts.push(part);
          if (isLast) resolve(concat(parts));
        }
        if (isLast) this.rejectBody = null;
      });
    });
  }

  onAbort(callback: () => void): void {
    this.abortCallback = callback;
  }

  /** True once the reply is complete or the client has left. */
  get ended(): boolean {
    return this.over;
  }

  /** The reply is complete, or the library has all of it. */
  finish(): void {
    if (this.over) return;
    this.over = true;
    this.shared.ended();
  }

  /** The client left: tells the handler, once, unless the reply is complete. */
  private left(): void {
    if (this.over) return;
    this.finish();
    this.rejectBody?.(new GatewayError('GW_SERVER_BODY_ABORTED'));
    this.abortCallback?.();
  }

  private tooLarge(): GatewayError {
    return new GatewayError('GW_SERVER_BODY_SIZE', `at most ${this.shared.bodyBytesMax} bytes are accepted`);
  }
}

/** Bytes that are only lent, as our own; small ones cost no memory of their own. */
function kept(chunk: ArrayBuffer): Uint8Array {
  const copy = Buffer.allocUnsafe(chunk.byteLength);
  copy.set(new Uint8Array(chunk));
  return copy;
}

/** The library reads headers as UTF-8; the rest of the gateway knows one character a byte. */
function asBytes(text: string): string {
  return text.includes(LOST) ? text : Buffer.from(text, 'utf8').toString('latin1');
}

/** As others write it: IPv4 in dots, also where a socket for both families mapped it, and IPv6 with the longest run of zeros left out. */
function addressOf(text: ArrayBuffer): string {
  const address = Buffer.from(text).toString('latin1');
  if (!address.includes(':')) return address;
  const short = new URL(`http://[${address}]`).hostname.slice(1, -1);
  const mapped = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(short);
  if (mapped === null) return short;
  const [high, low] = [Number.parseInt(mapped[1] ?? '', 16), Number.parseInt(mapped[2] ?? '', 16)];
  return [high >> 8, high & 255, low >> 8, low & 255].join('.');
}
