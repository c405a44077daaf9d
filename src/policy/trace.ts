// A span for each request of a sampled exchange that goes to a server, and that span as the parent in what the server gets.
// Called by worker/members.ts, around the transport and below everything that repeats or translates: each attempt has its own span. Promises: a request that is not
// sampled passes as it is; the contract of upstream.ts otherwise.
import { splice } from '../base/bytes.ts';
import type { GatewayError } from '../base/errors.ts';
import { metaEdits, traceparentOf } from '../mcp/trace-context.ts';
import type { AttributeValue, LiveSpan } from '../observe/trace.ts';
import { ENVELOPE, SCAN, type Scanner } from '../scan/contract.ts';
import type { ServerSpec } from '../upstream/spec.ts';
import type {
  ReplyHead,
  Upstream,
  UpstreamCall,
  UpstreamRequest,
  UpstreamSink,
} from '../upstream/upstream.ts';
import { methodOf, targetOf } from './asked.ts';
import { Layer } from './layer.ts';

/** What the spans of a server's requests say of it. */
export interface TraceParts {
  readonly spec: ServerSpec;
  readonly scanner: Scanner;
}

/** Puts spans around a server's requests. */
export function withTracing(inner: Upstream, parts: TraceParts): Upstream {
  return new TraceLayer(inner, parts);
}

class TraceLayer extends Layer {
  readonly #scanner: Scanner;
  readonly #attributes: Readonly<Record<string, AttributeValue>>;

  constructor(inner: Upstream, { spec, scanner }: TraceParts) {
    super(inner);
    this.#scanner = scanner;
    this.#attributes = serverAttributes(spec);
  }

  send(request: UpstreamRequest, sink: UpstreamSink): UpstreamCall {
    const parent = request.marks?.span ?? null;
    if (parent === null) return this.inner.send(request, sink);
    const spanId = parent.tracer.newSpanId();
    const span = new CallSpan(parent, spanId, { request, attributes: this.#attributes });
    const call = this.inner.send(this.#carrying(request, parent, spanId), new SpanSink(sink, span));
    return new SpanCall(call, span);
  }

  /** The request with this span as its parent, in the header and in `_meta`. */
  #carrying(request: UpstreamRequest, { traceId, state }: LiveSpan, spanId: string): UpstreamRequest {
    const traceparent = traceparentOf(traceId, spanId);
    const headers: string[] = [];
    for (let i = 0; i + 1 < request.headers.length; i += 2) {
      const name = request.headers[i] ?? '';
      if (name !== 'traceparent' && name !== 'tracestate') headers.push(name, request.headers[i + 1] ?? '');
    }
    headers.push('traceparent', traceparent);
    if (state !== '') headers.push('tracestate', state);
    const { body, envelope, edits } = request;
    if (envelope === null) return { ...request, headers };
    // All edits are made here: another layer's own ones may be at the very same place.
    const edited = splice(body, edits);
    const scanned = new Int32Array(ENVELOPE.length);
    if (edits.length > 0 && this.#scanner.scan(edited, 0, edited.length, scanned) !== SCAN.ok)
      return { ...request, headers };
    const own = metaEdits(edited, edits.length > 0 ? scanned : envelope, traceparent);
    if (own.length === 0) return { ...request, headers };
    const whole = splice(edited, own);
    const final = new Int32Array(ENVELOPE.length);
    if (this.#scanner.scan(whole, 0, whole.length, final) !== SCAN.ok) return { ...request, headers };
    return { ...request, headers, body: whole, envelope: final, edits: [] };
  }
}

/** Names of the semantic conventions for MCP, HTTP and servers. */
function serverAttributes({ name, target }: ServerSpec): Readonly<Record<string, AttributeValue>> {
  if (target.kind !== 'http') return { 'sluice.server': name, 'network.transport': 'pipe' };
  return {
    'sluice.server': name,
    'server.address': target.unixPath ?? target.host,
    ...(target.unixPath === null && { 'server.port': target.port }),
    'network.transport': target.unixPath === null ? 'tcp' : 'unix',
    'network.protocol.name': 'http',
  };
}

/** One request's span; ends once. */
class CallSpan {
  readonly #parent: LiveSpan;
  readonly #spanId: string;
  readonly #startMs: number;
  readonly #name: string;
  readonly #attributes: Record<string, AttributeValue>;
  #isOver = false;

  constructor(
    parent: LiveSpan,
    spanId: string,
    {
      request,
      attributes,
    }: { request: UpstreamRequest; attributes: Readonly<Record<string, AttributeValue>> },
  ) {
    this.#parent = parent;
    this.#spanId = spanId;
    this.#startMs = parent.tracer.now();
    const method = methodOf(request);
    const target = targetOf(request);
    this.#name = target === '' ? method : `${method} ${target}`;
    this.#attributes = { ...attributes, 'mcp.method.name': method, 'http.request.method': request.verb };
    if (target !== '') Object.assign(this.#attributes, targetAttributes(method, target));
  }

  replied(status: number): void {
    this.#attributes['http.response.status_code'] = status;
  }

  end(error: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const { tracer, traceId, spanId: parentId, state } = this.#parent;
    if (error !== '') this.#attributes['error.type'] = error;
    tracer.take({
      ...{ traceId, spanId: this.#spanId, parentId, state, kind: 'client', name: this.#name },
      startMs: tracer.wall(this.#startMs),
      endMs: tracer.wall(tracer.now()),
      attributes: this.#attributes,
      error,
    });
  }
}

/** What a span says of the tool, prompt or resource that is asked for. */
export function targetAttributes(method: string, target: string): Record<string, AttributeValue> {
  if (method === 'tools/call') return { 'gen_ai.tool.name': target, 'gen_ai.operation.name': 'execute_tool' };
  if (method === 'prompts/get') return { 'gen_ai.prompt.name': target };
  return { 'mcp.resource.uri': target };
}

class SpanSink implements UpstreamSink {
  readonly #sink: UpstreamSink;
  readonly #span: CallSpan;

  constructor(sink: UpstreamSink, span: CallSpan) {
    this.#sink = sink;
    this.#span = span;
  }

  onHead(head: ReplyHead): void {
    this.#span.replied(head.status);
    this.#sink.onHead(head);
  }

  onData(bytes: Uint8Array): boolean {
    return this.#sink.onData(bytes);
  }

  onEnd(): void {
    this.#span.end('');
    this.#sink.onEnd();
  }

  onFail(error: GatewayError): void {
    this.#span.end(error.code);
    this.#sink.onFail(error);
  }
}

class SpanCall implements UpstreamCall {
  readonly #call: UpstreamCall;
  readonly #span: CallSpan;

  constructor(call: UpstreamCall, span: CallSpan) {
    this.#call = call;
    this.#span = span;
  }

  resume(): void {
    this.#call.resume();
  }

  abort(): void {
    this.#span.end('cancelled');
    this.#call.abort();
  }

  outlast(): void {
    this.#call.outlast?.();
  }
}
