// The upstream for servers that want HTTP/2 or HTTP/3: the contract over the platform's fetch().
// Called by worker.ts for servers with `client: fetch`. Promises: the contract of upstream.ts; redirects are not followed, bodies are not
// decompressed, and an HTTP/1.1 connection is never used twice, because fetch() hands bytes that a server sent unasked to the next caller.
import { must } from '../base/assert.ts';
import { splice } from '../base/bytes.ts';
import { type ErrorCode, GatewayError } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import type { Log } from '../observe/log.ts';
import type { Clock, Runtime } from '../runtime/runtime.ts';
import { firstByteBoundMs, tookTooLong } from './deadline.ts';
import { FetchCall } from './fetch-call.ts';
import { codeOf, type Protocol, ProtocolChoice } from './fetch-protocol.ts';
import { failureOf, headOf, tooLarge } from './fetch-reply.ts';
import {
  createHeaderFilter,
  defaultAccept,
  hostHeader,
  nameIsSafe,
  pathIsSafe,
  valueIsSafe,
} from './request-head.ts';
import type { HttpTarget, ServerSpec } from './spec.ts';
import type { Upstream, UpstreamCall, UpstreamRequest, UpstreamSink, UpstreamStats } from './upstream.ts';

/** What the upstream is made of. */
export interface FetchUpstreamOptions {
  readonly runtime: Runtime;
  /** Its target must be of kind `http`. */
  readonly spec: ServerSpec;
  readonly log: Log;
}

/** Event streams that last do not count against `connectionsMax`, as with the other client; this is their own bound. */
const LONG_LIVED_MAX = LIMITS.sessionsMax;

/** Makes the upstream; nothing is connected before the first call. */
export function createFetchUpstream(options: FetchUpstreamOptions): Upstream {
  return new FetchUpstream(options);
}

class FetchUpstream implements Upstream {
  readonly name: string;
  readonly transport = 'fetch' as const;
  private readonly clock: Clock;
  private readonly spec: ServerSpec;
  private readonly target: HttpTarget;
  private readonly origin: string;
  private readonly allowed: (name: string) => boolean;
  private readonly protocol: ProtocolChoice;
  private readonly running = new Set<FetchCall>();
  private readonly waiting = new Set<FetchCall>();
  /** Streams that last. */
  private readonly lasting = new Set<FetchCall>();
  private closing = false;
  private connects = 0;
  private failures = 0;
  private whenEmpty: (() => void)[] = [];

  constructor(options: FetchUpstreamOptions) {
    const { spec } = options;
    this.spec = spec;
    this.name = spec.name;
    this.clock = options.runtime.clock;
    this.target = must(spec.target.kind === 'http' ? spec.target : null, 'an HTTP target');
    this.origin = `${this.target.secure ? 'https' : 'http'}://${hostHeader(this.target)}`;
    this.allowed = createHeaderFilter(this.target);
    this.protocol = new ProtocolChoice(this.target);
  }

  send(request: UpstreamRequest, sink: UpstreamSink): UpstreamCall {
    const call: FetchCall = new FetchCall({
      request,
      sink: this.counting(sink),
      clock: this.clock,
      firstByteMs: firstByteBoundMs(this.spec, request),
      ended: () => this.left(call),
      outlasts: () => this.outlasts(call),
    });
    request.marks?.sent(this.clock.now());
    if (this.closing) this.refuse(call, 'GW_UPSTREAM_CLOSING', '');
    else if (this.running.size < this.target.connectionsMax) this.start(call);
    else if (this.waiting.size >= this.spec.queueDepthMax) {
      this.refuse(call, 'GW_UPSTREAM_BUSY', `"${this.name}" has ${this.running.size} calls under way`);
    } else {
      this.waiting.add(call);
      call.watchFirstByte('GW_UPSTREAM_BUSY', `no other call to "${this.name}" ended in time`);
    }
    return call;
  }

  stats(): UpstreamStats {
    const busy = this.running.size + this.lasting.size;
    const { connects, failures } = this;
    const waiting = this.waiting.size;
    return { total: busy, busy, idle: 0, waiting, connects, reuses: 0, failures, sessions: 0 };
  }

  close(withinMs: number): Promise<void> {
    this.closing = true;
    return new Promise((resolve) => {
      const timer = this.clock.after(withinMs, () => {
        for (const call of this.waiting) call.fail(new GatewayError('GW_UPSTREAM_CLOSING'));
        const error = new GatewayError('GW_UPSTREAM_CLOSED', 'the gateway let go of the server first');
        for (const call of [...this.running, ...this.lasting]) call.fail(error);
      });
      this.whenEmpty.push(() => {
        this.clock.cancel(timer);
        resolve();
      });
      this.settle();
    });
  }

  private start(call: FetchCall): void {
    this.running.add(call);
    this.connects++;
    void this.run(call);
  }

  private refuse(call: FetchCall, code: ErrorCode, detail: string): void {
    this.clock.soon(() => call.fail(new GatewayError(code, detail)));
  }

  private left(call: FetchCall): void {
    this.waiting.delete(call);
    this.lasting.delete(call);
    if (this.running.delete(call)) this.startNext();
    this.settle();
  }

  private outlasts(call: FetchCall): void {
    if (this.lasting.size >= LONG_LIVED_MAX || !this.running.delete(call)) return;
    this.lasting.add(call);
    this.startNext();
  }

  private startNext(): void {
    for (const next of this.waiting) {
      this.waiting.delete(next);
      next.unwatch();
      this.start(next);
      return;
    }
  }

  private settle(): void {
    if (!this.closing || this.running.size + this.lasting.size + this.waiting.size > 0) return;
    const callbacks = this.whenEmpty;
    this.whenEmpty = [];
    for (const callback of callbacks) callback();
  }

  /** The sink, with failures counted on the way. */
  private counting(sink: UpstreamSink): UpstreamSink {
    return {
      onHead: (head) => sink.onHead(head),
      onData: (bytes) => sink.onData(bytes),
      onEnd: () => sink.onEnd(),
      onFail: (error) => {
        if (error.row.source === 'upstream') this.failures++;
        sink.onFail(error);
      },
    };
  }

  private async run(call: FetchCall): Promise<void> {
    const boundMs = firstByteBoundMs(this.spec, call.request);
    call.watchFirstByte('GW_UPSTREAM_TIMEOUT', `no reply within ${boundMs} ms`);
    // Whatever goes wrong must reach the sink after send() has returned.
    await Promise.resolve();
    try {
      const response = await this.fetch(call);
      if (call.done) return;
      call.replied = true;
      await this.relay(call, response);
    } catch (thrown) {
      if (!call.done) call.fail(failureOf(thrown, this.name, call.replied));
    }
  }

  /** Tries one HTTP version after the other until one is spoken. */
  private async fetch(call: FetchCall): Promise<Response> {
    const { verb, body, edits, path = this.target.path } = call.request;
    if (!pathIsSafe(path))
      throw new GatewayError('GW_BASE_INTERNAL', 'a path cannot be sent to the MCP server');
    const url = this.origin + path;
    const init: BunFetchRequestInit = {
      method: verb,
      headers: this.headersOf(call.request),
      redirect: 'manual',
      decompress: false,
      signal: call.controller.signal,
      tls: this.tls(),
      proxy: false,
      // fetch() takes any view; its type excludes shared memory.
      ...(verb === 'POST' && { body: splice(body, edits) as Uint8Array<ArrayBuffer> }),
      ...(this.target.unixPath !== null && { unix: this.target.unixPath }),
    };
    let protocol: Protocol = this.protocol.first();
    for (;;) {
      try {
        const response = await fetch(url, {
          ...init,
          keepalive: protocol !== 'http1.1',
          ...(this.target.secure && { protocol }),
        });
        this.protocol.worked(protocol);
        return response;
      } catch (thrown) {
        const next = this.protocol.after(protocol, codeOf(thrown));
        if (next === null || call.done) throw thrown;
        protocol = next;
        if (next === 'http3') {
          const ms = Math.min(this.spec.connectTimeoutMs, firstByteBoundMs(this.spec, call.request));
          call.watch(ms, 'GW_UPSTREAM_CONNECT', `"${this.name}" refuses TCP and does not answer over QUIC`);
        }
      }
    }
  }

  private headersOf(request: UpstreamRequest): Headers {
    const headers = new Headers();
    headers.set('accept', defaultAccept(request.verb));
    const add = (name: string, value: string): void => {
      if (!nameIsSafe(name) || !valueIsSafe(value)) {
        throw new GatewayError('GW_BASE_INTERNAL', 'a header cannot be sent to the MCP server');
      }
      headers.set(name, value);
    };
    const pairs = request.headers;
    for (let i = 0; i + 1 < pairs.length; i += 2) {
      if (this.allowed(pairs[i] ?? '')) add(pairs[i] ?? '', pairs[i + 1] ?? '');
    }
    const configured = this.target.headers;
    for (let i = 0; i + 1 < configured.length; i += 2) add(configured[i] ?? '', configured[i + 1] ?? '');
    headers.set('accept-encoding', 'identity');
    if (request.verb === 'POST') headers.set('content-type', 'application/json');
    if (request.session !== null) add('mcp-session-id', request.session);
    return headers;
  }

  private tls(): NonNullable<BunFetchRequestInit['tls']> {
    const { ca, cert, key, serverName, verify } = this.target.tls;
    return {
      rejectUnauthorized: verify,
      ...(serverName !== null && { serverName }),
      ...(ca !== null && { ca }),
      ...(cert !== null && { cert }),
      ...(key !== null && { key }),
    };
  }

  private async relay(call: FetchCall, response: Response): Promise<void> {
    const head = headOf(response);
    const encoding = response.headers.get('content-encoding');
    if (encoding !== null && encoding.toLowerCase() !== 'identity' && !head.whole) {
      throw new GatewayError('GW_UPSTREAM_MEDIA', 'its body is compressed though that was not asked for');
    }
    const streaming = head.media === 'event-stream';
    const bytesMax = streaming ? Number.MAX_SAFE_INTEGER : LIMITS.replyBodyBytesMax;
    if (head.contentLength > bytesMax) throw tooLarge();
    call.unwatch();
    if (streaming && call.request.verb === 'GET') call.outlast();
    call.sink.onHead(head);
    if (response.body !== null && !head.whole) await this.pump(call, response.body, bytesMax);
    call.end();
  }

  /** Moves the body to the sink; every wait is watched. */
  private async pump(call: FetchCall, body: ReadableStream<Uint8Array>, bytesMax: number): Promise<void> {
    const streaming = bytesMax === Number.MAX_SAFE_INTEGER;
    const endsMs = this.clock.now() + this.spec.totalTimeoutMs;
    const reader = body.getReader();
    let total = 0;
    while (!call.done) {
      this.watchBody(call, endsMs, streaming);
      const { done, value } = await reader.read();
      call.unwatch();
      if (done || call.done) return;
      total += value.length;
      if (total > bytesMax) throw tooLarge();
      if (value.length > 0 && !call.sink.onData(value)) await call.resumed();
    }
  }

  private watchBody(call: FetchCall, endsMs: number, streaming: boolean): void {
    if (streaming && call.endless) return;
    const { replyIdleTimeoutMs, totalTimeoutMs } = this.spec;
    const leftMs = Math.max(0, endsMs - this.clock.now());
    if (streaming || leftMs < replyIdleTimeoutMs) {
      call.watch(leftMs, 'GW_UPSTREAM_TIMEOUT', tookTooLong(totalTimeoutMs));
    } else call.watch(replyIdleTimeoutMs, 'GW_UPSTREAM_IDLE', `no byte came for ${replyIdleTimeoutMs} ms`);
  }
}
