// W3C Trace Context (https://www.w3.org/TR/trace-context/), as headers and under the same names in `params._meta`.
// Called by proxy/tracing.ts (reads) and policy/trace.ts (writes). Promises: pure; what is not a valid traceparent counts as none; bodies are spliced, never encoded
// again.
import { concat, type Edit, encode } from '../base/bytes.ts';
import type { ParentContext } from '../observe/trace.ts';
import { ENVELOPE } from '../scan/contract.ts';
import { span } from './envelope.ts';
import { isObject, member, readString } from './json.ts';
import { putInMeta } from './object-edits.ts';

/** version "-" trace-id "-" parent-id "-" trace-flags; later versions may go on behind a dash. */
const TRACEPARENT = /^([\da-f]{2})-([\da-f]{32})-([\da-f]{16})-([\da-f]{2})(-.*)?$/;
const NO_TRACE = '0'.repeat(32);
const NO_PARENT = '0'.repeat(16);
const SAMPLED = 1;
const NAME = encode('traceparent');
/** Longer ones may be dropped, says the specification; so they are. */
const STATE_CHARS_MAX = 512;

/** What a traceparent, with its tracestate, says; null when it is none. */
export function parentOf(traceparent: string | null, tracestate: string | null): ParentContext | null {
  const parts = traceparent === null ? null : TRACEPARENT.exec(traceparent);
  if (parts === null) return null;
  const [, version = '', traceId = '', spanId = '', flags = '', rest] = parts;
  if (version === 'ff' || (version === '00' && rest !== undefined)) return null;
  if (traceId === NO_TRACE || spanId === NO_PARENT) return null;
  const state = tracestate !== null && tracestate.length <= STATE_CHARS_MAX ? tracestate : '';
  return { traceId, spanId, state, isSampled: (Number.parseInt(flags, 16) & SAMPLED) !== 0 };
}

/** The traceparent that names a sampled span as the parent. */
export function traceparentOf(traceId: string, spanId: string): string {
  return `00-${traceId}-${spanId}-01`;
}

/** The context in a request's `_meta`; null when there is none. */
export function metaParent(body: Uint8Array, envelope: Int32Array): ParentContext | null {
  const meta = span(envelope, ENVELOPE.meta);
  if (meta === null || !isObject(body, meta.start)) return null;
  // Most requests have none: one native search tells, where walking through the members takes microseconds.
  const at = Buffer.from(body.buffer, body.byteOffset + meta.start, meta.end - meta.start);
  if (!at.includes(NAME)) return null;
  const text = (name: string): string | null => {
    const at = member(body, meta.start, name);
    return at === null ? null : readString(body, at.start, at.end);
  };
  return parentOf(text('traceparent'), text('tracestate'));
}

/** Edits that put a traceparent into a request's `_meta`, in the place of the one that is there; none when the request has no params to put it in. */
export function metaEdits(body: Uint8Array, envelope: Int32Array, traceparent: string): readonly Edit[] {
  const value = encode(`"${traceparent}"`);
  const params = span(envelope, ENVELOPE.params);
  if (params === null || !isObject(body, params.start)) return [];
  const meta = span(envelope, ENVELOPE.meta);
  if (meta !== null && !isObject(body, meta.start)) return [];
  const former = meta === null ? null : member(body, meta.start, 'traceparent');
  if (former !== null) return [{ start: former.start, end: former.end, insert: value }];
  return [putInMeta(body, params, meta, concat([encode('"traceparent":'), value]))];
}
