// Traces through the real program: a client's trace goes on in the gateway and at the server, and a collector that looks closely gets spans with the right parents.
// Run by `bun test`. Promises: waits for spans, never for an amount of time; nothing it starts outlives it.
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import * as z from 'zod';
import { type ServedGateway, startGateway, stopAll } from '../fixtures/harness.ts';
import { modernHeaders, modernRequest } from '../fixtures/messages.ts';
import { type ByteServer, startByteServer } from '../fixtures/plane.ts';
import { until } from '../fixtures/rpc-client.ts';

const TEST_MS_MAX = 60_000;
const TRACE = '0af7651916cd43dd8448eb211c80319c';
const PARENT = 'b7ad6b7169203331';

const hex = (digits: number) => z.string().regex(new RegExp(`^[\\da-f]{${digits}}$`));
const nanoseconds = z.string().regex(/^\d{19}$/);
const Value = z.union([
  z.strictObject({ stringValue: z.string() }),
  z.strictObject({ intValue: z.union([z.int(), z.string()]) }),
  z.strictObject({ doubleValue: z.number() }),
  z.strictObject({ boolValue: z.boolean() }),
]);
const Attributes = z.array(z.strictObject({ key: z.string(), value: Value }));
/** ExportTraceServiceRequest in JSON, as opentelemetry-proto 1.x has it: whatever else comes is refused, as by a strict receiver. */
const ExportRequest = z.strictObject({
  resourceSpans: z.array(
    z.strictObject({
      resource: z.object({ attributes: Attributes }),
      scopeSpans: z.array(
        z.strictObject({
          scope: z.object({ name: z.string(), version: z.string() }),
          spans: z.array(
            z.object({
              traceId: hex(32),
              spanId: hex(16),
              parentSpanId: hex(16).optional(),
              name: z.string().min(1),
              kind: z.union([z.literal(2), z.literal(3)]),
              startTimeUnixNano: nanoseconds,
              endTimeUnixNano: nanoseconds,
              attributes: Attributes,
              status: z.object({ code: z.union([z.literal(0), z.literal(2)]) }),
            }),
          ),
        }),
      ),
    }),
  ),
});
type Span = z.output<typeof ExportRequest>['resourceSpans'][0]['scopeSpans'][0]['spans'][0];

/** A collector that refuses the first request, as one that is restarted does, and whatever is not OTLP. */
class Collector {
  readonly spans: Span[] = [];
  readonly faults: string[] = [];
  requests = 0;
  readonly #server = Bun.serve({
    hostname: '127.0.0.1',
    port: 0,
    fetch: async (request) => {
      if (this.requests++ === 0) return new Response('', { status: 503 });
      const isRight =
        request.headers.get('content-type') === 'application/json' && request.headers.get('x-key') === 'k';
      const parsed = ExportRequest.safeParse(await request.json());
      if (!isRight || !parsed.success) this.faults.push(parsed.error?.message ?? 'headers');
      else
        for (const { scopeSpans } of parsed.data.resourceSpans)
          for (const { spans } of scopeSpans) this.spans.push(...spans);
      return Response.json({});
    },
  });
  readonly url = `http://127.0.0.1:${this.#server.port}/v1/traces`;

  stop(): void {
    void this.#server.stop(true);
  }

  of(traceId: string): readonly Span[] {
    return this.spans.filter((span) => span.traceId === traceId);
  }
}

/** What the server was told of the trace: in the header, and in `_meta`. */
const told: { readonly header: string | null; readonly meta: string | undefined }[] = [];
const collector = new Collector();
let server: ByteServer;
let gateway: ServedGateway;

beforeAll(async () => {
  server = startByteServer((body, request) => {
    const { id, params } = JSON.parse(new TextDecoder().decode(body));
    told.push({ header: request.headers.get('traceparent'), meta: params?._meta?.traceparent });
    if (params?.name === 'broken') return new Response('', { status: 500 });
    return Response.json({ jsonrpc: '2.0', id, result: { resultType: 'complete', content: [] } });
  });
  gateway = await startGateway(
    { one: { url: server.url, era: 'modern' } },
    { tracing: { url: collector.url, share: 0, headers: { 'x-key': 'k' } }, log: { access: 'all' } },
  );
}, TEST_MS_MAX);

afterAll(async () => {
  await stopAll();
  server.stop();
  collector.stop();
});

async function call(
  name: string,
  headers: Record<string, string>,
  meta: Record<string, string> = {},
): Promise<number> {
  const message = JSON.parse(modernRequest(1, 'tools/call', { name, arguments: {} }));
  Object.assign(message.params._meta, meta);
  const reply = await fetch(`${gateway.url}/mcp/one`, {
    method: 'POST',
    headers: { ...modernHeaders('tools/call', name), ...headers },
    body: JSON.stringify(message),
  });
  await reply.arrayBuffer();
  return reply.status;
}

function attribute(span: Span | undefined, key: string): unknown {
  const value = span?.attributes.find((one) => one.key === key)?.value;
  return value === undefined ? undefined : Object.values(value)[0];
}

describe('a trace', () => {
  test(
    'goes from the client through the gateway to the server, each the parent of the next',
    async () => {
      expect(await call('fine', { traceparent: `00-${TRACE}-${PARENT}-01`, tracestate: 'a=b' })).toBe(200);
      await until('spans come', () => collector.of(TRACE).length === 2);
      const own = collector.of(TRACE).find(({ kind }) => kind === 2);
      const sent = collector.of(TRACE).find(({ kind }) => kind === 3);
      expect(own?.parentSpanId).toBe(PARENT);
      expect(sent?.parentSpanId).toBe(own?.spanId ?? '-');
      const traceparent = `00-${TRACE}-${sent?.spanId}-01`;
      expect(told.at(-1)).toEqual({ header: traceparent, meta: traceparent });
      expect(own?.name).toBe('tools/call fine');
      expect(attribute(own, 'mcp.method.name')).toBe('tools/call');
      expect(attribute(sent, 'gen_ai.tool.name')).toBe('fine');
      expect(attribute(sent, 'sluice.server')).toBe('one');
      expect(BigInt(sent?.endTimeUnixNano ?? 0) >= BigInt(sent?.startTimeUnixNano ?? 1)).toBe(true);
      // The first request was refused with 503: nothing is lost by that.
      expect(collector.requests).toBeGreaterThan(1);
      expect(collector.faults).toEqual([]);
    },
    TEST_MS_MAX,
  );

  test(
    'is found in _meta as well, and a failure is told with its code',
    async () => {
      const trace = 'c'.repeat(32);
      expect(await call('broken', {}, { traceparent: `00-${trace}-${PARENT}-01` })).toBeGreaterThanOrEqual(
        500,
      );
      await until('spans come', () => collector.of(trace).length >= 2);
      const own = collector.of(trace).find(({ kind }) => kind === 2);
      expect(own?.parentSpanId).toBe(PARENT);
      expect(own?.status.code).toBe(2);
      expect(String(attribute(own, 'error.type'))).toStartWith('GW_');
      await until('spans come', () => gateway.stderr().includes(`"trace":"${trace}"`));
    },
    TEST_MS_MAX,
  );

  test(
    'that its caller does not record passes as it is, and so does a request without one',
    async () => {
      const trace = 'd'.repeat(32);
      const traceparent = `00-${trace}-${PARENT}-00`;
      expect(await call('fine', { traceparent })).toBe(200);
      expect(told.at(-1)).toEqual({ header: traceparent, meta: undefined });
      expect(await call('fine', {})).toBe(200);
      expect(told.at(-1)).toEqual({ header: null, meta: undefined });
      expect(collector.of(trace)).toEqual([]);
    },
    TEST_MS_MAX,
  );
});
