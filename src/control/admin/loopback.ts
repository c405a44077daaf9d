// MCP requests to the gateway's own data listener: what an operator tries goes the way of every client, through the real data path.
// Called by relay.ts and tools.ts. Promises: a reply streams, no faster than it is read; whoever stops reading ends the call; failures are GatewayErrors.
import { GatewayError } from '../../base/errors.ts';
import { LIMITS } from '../../base/limits.ts';
import {
  NO_CLIENT,
  type ReplyHead,
  type Upstream,
  type UpstreamCall,
  type UpstreamSink,
} from '../../upstream/upstream.ts';
import { openOwnClient } from '../own-client.ts';
import type { Governed } from './governed.ts';

/** One MCP message to an endpoint. */
export interface LoopRequest {
  readonly path: string;
  readonly body: Uint8Array;
  /** Name, value, name, value …; lower-case names. */
  readonly headers: readonly string[];
  readonly session: string | null;
  /** 0 = as long as calls may take. */
  readonly timeoutMs: number;
}

/** Headers of replies that callers may see. */
const SHOWN_HEADERS: readonly string[] = [
  'content-type',
  'mcp-session-id',
  'mcp-protocol-version',
  'retry-after',
  'server-timing',
  'www-authenticate',
];

/** Connections to the data listener at once, streams included. */
const CONNECTIONS_MAX = 64;

/** The gateway as its own client. */
export class Loopback {
  readonly #governed: Governed;
  #upstream: Upstream | null = null;
  #count = 0;

  constructor(governed: Governed) {
    this.#governed = governed;
  }

  /** Sends a message; resolves with the head of the reply, whose body streams. Rejects when there is none. */
  send(request: LoopRequest, signal: AbortSignal): Promise<Response> {
    this.#upstream ??= openUpstream(this.#governed);
    const reply = new LoopReply(signal);
    const call = this.#upstream.send(
      {
        verb: 'POST',
        era: 'modern',
        ...request,
        envelope: null,
        edits: [],
        exchangeId: `admin-${++this.#count}`,
        client: NO_CLIENT,
      },
      reply,
    );
    reply.begin(call);
    return reply.response;
  }
}

function openUpstream({ runtime, log, url, snapshot }: Governed): Upstream {
  const { hostname, port } = new URL(url);
  const { allowedHosts } = snapshot().front;
  // The listener may be known by other names only.
  const named =
    allowedHosts === null || allowedHosts.includes(hostname) ? hostname : (allowedHosts[0] ?? hostname);
  return openOwnClient({
    ...{ runtime, log, name: 'gateway', url: new URL('/mcp', url) },
    headers: ['host', `${named}:${port}`],
    // It is this very process that answers there: its certificate need not be for this name.
    verify: false,
    connectionsMax: CONNECTIONS_MAX,
    queueDepthMax: LIMITS.queueDepthMax,
    timeoutMs: LIMITS.totalTimeoutMs,
  });
}

/** A reply on its way from the sink's events to a response that is read. */
class LoopReply implements UpstreamSink {
  readonly response: Promise<Response>;
  readonly #signal: AbortSignal;
  #call: UpstreamCall | null = null;
  #controller: ReadableStreamDefaultController<Uint8Array> | null = null;
  #resolve: (response: Response) => void = () => undefined;
  #reject: (error: GatewayError) => void = () => undefined;
  #isOver = false;
  readonly #leave = (): void => this.#abort();

  constructor(signal: AbortSignal) {
    this.#signal = signal;
    this.response = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  /** send() has returned: from here on the caller may leave. */
  begin(call: UpstreamCall): void {
    this.#call = call;
    if (this.#signal.aborted) this.#abort();
    else this.#signal.addEventListener('abort', this.#leave, { once: true });
  }

  onHead(head: ReplyHead): void {
    const headers = new Headers();
    for (const name of SHOWN_HEADERS) {
      const value = head.header(name);
      if (value !== null) headers.set(name, value);
    }
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.#controller = controller;
      },
      pull: () => this.#call?.resume(),
      cancel: () => this.#abort(),
    });
    // 204 and 304 have none by definition, and a Response with one would throw.
    const isEmpty = head.status === 204 || head.status === 304 || head.contentLength === 0;
    if (isEmpty) headers.delete('content-type');
    this.#resolve(new Response(isEmpty ? null : body, { status: head.status, headers }));
  }

  onData(bytes: Uint8Array): boolean {
    if (this.#isOver) return true;
    this.#controller?.enqueue(bytes);
    return (this.#controller?.desiredSize ?? 1) > 0;
  }

  onEnd(): void {
    if (!this.#finish()) return;
    this.#controller?.close();
  }

  onFail(error: GatewayError): void {
    if (!this.#finish()) return;
    this.#controller?.error(error);
    this.#reject(error);
  }

  #abort(): void {
    if (!this.#finish()) return;
    this.#call?.abort();
    const error = new GatewayError('GW_SERVER_BODY_ABORTED', 'the caller left');
    // Nobody may be waiting for the head any more.
    this.response.catch(() => undefined);
    this.#reject(error);
    try {
      this.#controller?.error(error);
    } catch {
      // Whoever cancelled the stream has ended it already.
    }
  }

  /** False when it was over before. */
  #finish(): boolean {
    if (this.#isOver) return false;
    this.#isOver = true;
    this.#signal.removeEventListener('abort', this.#leave);
    return true;
  }
}
