// One request on node:http.
// Called by node-http.ts and node-http-stream.ts. Promises: Inbound as runtime.ts has it; a head that two readers could take differently is told, with the status to
// refuse it with.
import type { IncomingMessage, ServerResponse } from 'node:http';
import { concat } from '../base/bytes.ts';
import { GatewayError } from '../base/errors.ts';
import { targetOf } from './http1-head.ts';
import type { Inbound } from './runtime.ts';

/** A request under way. */
export class NodeHttpInbound implements Inbound {
  readonly response: ServerResponse;
  readonly path: string;
  readonly query: string;
  /** Status to refuse the head with, 0 when it is sound. */
  readonly fault: number;
  private readonly request: IncomingMessage;
  private readonly bodyBytesMax: number;
  private readonly names: string[] = [];
  private readonly values: string[] = [];
  private abortCallback: (() => void) | null = null;
  private isOver = false;

  constructor(request: IncomingMessage, response: ServerResponse, bodyBytesMax: number) {
    this.request = request;
    this.response = response;
    this.bodyBytesMax = bodyBytesMax;
    const isDoubtful = this.take(request.rawHeaders);
    const target = targetOf(request.url ?? '', this.header('host') ?? '');
    this.path = target?.path ?? '';
    this.query = target?.query ?? '';
    this.fault = isDoubtful || target === null ? 400 : 0;
    response.on('finish', () => this.finish());
    response.on('close', () => this.left());
  }

  /** Copies the headers; true when they can be read in two ways. */
  private take(raw: readonly string[]): boolean {
    const { names, values } = this;
    let isDoubtful = false;
    for (let i = 0; i < raw.length; i += 2) {
      const name = (raw[i] ?? '').toLowerCase();
      const value = raw[i + 1] ?? '';
      const at = names.indexOf(name);
      if (at < 0) {
        names.push(name);
        values.push(value);
      } else {
        isDoubtful ||= name === 'host' || name === 'content-length' || name === 'transfer-encoding';
        values[at] = `${values[at]}, ${value}`;
      }
    }
    const coding = this.header('transfer-encoding');
    return isDoubtful || (coding !== null && (coding.toLowerCase() !== 'chunked' || this.isOld));
  }

  private get isOld(): boolean {
    return this.request.httpVersionMajor === 1 && this.request.httpVersionMinor === 0;
  }

  get method(): string {
    return this.request.method ?? '';
  }

  get peer(): string {
    return this.request.socket.remoteAddress ?? '';
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
    if (Number(this.header('content-length') ?? 0) > this.bodyBytesMax)
      return Promise.reject(this.tooLarge());
    if (this.header('expect') !== null) this.response.writeContinue();
    return new Promise((resolve, reject) => {
      const parts: Uint8Array[] = [];
      let bytes = 0;
      const { request } = this;
      request.on('data', (part: Buffer) => {
        bytes += part.length;
        if (bytes > this.bodyBytesMax) return reject(this.tooLarge());
        parts.push(part);
      });
      request.on('end', () => resolve(concat(parts)));
      request.on('error', (cause) => reject(new GatewayError('GW_SERVER_BODY_ABORTED', '', cause)));
      request.on('close', () => reject(new GatewayError('GW_SERVER_BODY_ABORTED')));
    });
  }

  onAbort(callback: () => void): void {
    this.abortCallback = callback;
  }

  /** True once the reply is complete or the client has left. */
  get ended(): boolean {
    return this.isOver;
  }

  /** The reply is complete. */
  finish(): void {
    this.isOver = true;
  }

  /** The client left: tells the handler, once, unless the reply is complete. */
  private left(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.abortCallback?.();
  }

  private tooLarge(): GatewayError {
    return new GatewayError('GW_SERVER_BODY_SIZE', `at most ${this.bodyBytesMax} bytes are accepted`);
  }
}
