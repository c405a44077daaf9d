// Finds out which trace an exchange is part of, and whether it is sampled.
// Called by pipeline.ts, where traces are wanted, once a message is scanned. Promises: headers come before `_meta`, as on any hop of HTTP; never throws.
import type { Exchange } from '../exchange.ts';
import { metaParent, parentOf } from '../mcp/trace-context.ts';
import type { ParentContext, Tracer } from '../observe/trace.ts';

/** Gives the exchange its span, if it is sampled. */
export function beginSpan(exchange: Exchange, tracer: Tracer): void {
  const span = tracer.begin(contextOf(exchange));
  if (span === null) return;
  exchange.span = span;
  exchange.trace = span.traceId;
}

function contextOf({ headers, body, envelope }: Exchange): ParentContext | null {
  const { passed } = headers;
  const value = (name: string): string | null => {
    for (let i = 0; i + 1 < passed.length; i += 2) if (passed[i] === name) return passed[i + 1] ?? null;
    return null;
  };
  const traceparent = passed.length === 0 ? null : value('traceparent');
  if (traceparent !== null) return parentOf(traceparent, value('tracestate'));
  return envelope === null ? null : metaParent(body, envelope);
}
