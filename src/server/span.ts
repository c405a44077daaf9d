// The span of a sampled exchange that is over: what a trace is told of it.
// Called by record.ts. Promises: names of OpenTelemetry's semantic conventions for MCP and HTTP where there are any, `sluice.` before the rest; nothing of arguments,
// headers or results.
import { decode } from '../base/bytes.ts';
import type { Exchange } from '../exchange.ts';
import type { JournalEntry } from '../memory/journal.ts';
import { redactText } from '../observe/redact.ts';
import type { AttributeValue, LiveSpan } from '../observe/trace.ts';
import { targetAttributes } from '../policy/trace.ts';
import { ENVELOPE } from '../scan/contract.ts';

const MS = 1000;

/** Hands on the span of an exchange; `entry` is its entry in the journal. */
export function endSpan(exchange: Exchange, span: LiveSpan, entry: JournalEntry): void {
  const { tracer, traceId, spanId, parentId, state } = span;
  const target = targetIn(entry);
  const isFailure = exchange.outcome === 'failed' || exchange.outcome === 'refused';
  const error = isFailure ? (exchange.errorCode ?? exchange.outcome) : '';
  tracer.take({
    ...{ traceId, spanId, parentId, state, kind: 'server' },
    name: [exchange.method === '' ? exchange.verb : exchange.method, target]
      .filter((part) => part !== '')
      .join(' '),
    startMs: entry.wallMs,
    endMs: entry.wallMs + exchange.durationMs,
    attributes: {
      ...attributesOf(exchange, target),
      ...timesOf(entry),
      ...(error !== '' && { 'error.type': error }),
    },
    error,
  });
}

function attributesOf(exchange: Exchange, target: string): Record<string, AttributeValue> {
  const { body, envelope, method } = exchange;
  const from = envelope?.[ENVELOPE.id] ?? -1;
  const to = envelope?.[ENVELOPE.id + 1] ?? -1;
  return {
    'http.request.method': exchange.verb,
    'http.response.status_code': exchange.status,
    'url.path': exchange.endpoint.path,
    'network.transport': 'tcp',
    ...(method !== '' && { 'mcp.method.name': method }),
    ...(from >= 0 && to > from && { 'jsonrpc.request.id': decode(body.subarray(from, to)) }),
    ...(exchange.headers.protocolVersion !== null && {
      'mcp.protocol.version': exchange.headers.protocolVersion,
    }),
    ...(target !== '' && targetAttributes(method, target)),
    'http.request.body.size': body.length,
    'http.response.body.size': exchange.replyBytes,
    'sluice.exchange.id': exchange.id,
    'sluice.era': exchange.era,
    'sluice.outcome': exchange.outcome,
  };
}

function timesOf(entry: JournalEntry): Record<string, AttributeValue> {
  return {
    'sluice.gateway_ms': entry.gatewayUs / MS,
    'sluice.queue_ms': entry.queueUs / MS,
    'sluice.connect_ms': entry.connectUs / MS,
    'sluice.upstream_ms': entry.upstreamUs / MS,
    'sluice.sends': entry.sends,
    'sluice.is_cached': entry.isCached,
  };
}

function targetIn({ body, nameStart, nameEnd }: JournalEntry): string {
  return nameEnd > nameStart ? redactText(decode(body.subarray(nameStart, nameEnd))) : '';
}
