// Spans as the body of an OTLP request, through OpenTelemetry's own serializer.
// Called by exporter.ts, which loads it with the first spans. Promises: pure; what comes out is what any OTLP/HTTP receiver of JSON takes.
import { type HrTime, SpanKind, SpanStatusCode } from '@opentelemetry/api';
import { JsonTraceSerializer } from '@opentelemetry/otlp-transformer';
import { resourceFromAttributes } from '@opentelemetry/resources';
import type { ReadableSpan } from '@opentelemetry/sdk-trace-base';
import { EMPTY } from '../../base/bytes.ts';
import type { SpanData } from '../../observe/trace.ts';

const SECOND_MS = 1000;
const NS_PER_MS = 1_000_000;
const SAMPLED = 1;

/** The body of one request. */
export function bodyOf(
  spans: readonly SpanData[],
  { service, version }: { readonly service: string; readonly version: string },
): Uint8Array {
  const resource = resourceFromAttributes({ 'service.name': service, 'service.version': version });
  const scope = { name: 'sluice', version };
  const readable = spans.map((span): ReadableSpan => {
    const { traceId, spanId, parentId } = span;
    const startTime = timeOf(span.startMs);
    const endTime = timeOf(span.endMs);
    return {
      name: span.name,
      kind: span.kind === 'server' ? SpanKind.SERVER : SpanKind.CLIENT,
      spanContext: () => ({ traceId, spanId, traceFlags: SAMPLED }),
      ...(parentId !== '' && {
        parentSpanContext: {
          traceId,
          spanId: parentId,
          traceFlags: SAMPLED,
          // Whoever shows a state for the first span of this process got it from outside.
          isRemote: span.kind === 'server',
        },
      }),
      ...{ startTime, endTime, duration: timeOf(Math.max(0, span.endMs - span.startMs)), ended: true },
      status:
        span.error === ''
          ? { code: SpanStatusCode.UNSET }
          : { code: SpanStatusCode.ERROR, message: span.error },
      attributes: span.attributes,
      ...{ links: [], events: [], resource, instrumentationScope: scope },
      ...{ droppedAttributesCount: 0, droppedEventsCount: 0, droppedLinksCount: 0 },
    };
  });
  return JsonTraceSerializer.serializeRequest(readable) ?? EMPTY;
}

/** Seconds and nanoseconds. */
function timeOf(ms: number): HrTime {
  const seconds = Math.floor(ms / SECOND_MS);
  return [seconds, Math.round((ms - seconds * SECOND_MS) * NS_PER_MS)];
}
