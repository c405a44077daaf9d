// What a server of the HTTP+SSE transport (MCP 2024-11-05) tells about its endpoint for messages: where to POST.
// Called by sse-pipe.ts and sse-posts.ts. Promises: pure; messages are never sent to another origin than the one that is configured.
import { decode } from '../base/bytes.ts';
import { GatewayError } from '../base/errors.ts';
import { hostHeader, pathIsSafe } from './request-head.ts';
import type { HttpTarget } from './spec.ts';

/** Longest endpoint that is taken: servers put little more than a session's id into it. */
const ENDPOINT_BYTES_MAX = 8 * 1024;
/** What a message about it may quote. */
const QUOTED_MAX = 120;

/** Path and query of the endpoint that an `endpoint` event names, or why messages must not go there. */
export function postPath(target: HttpTarget, data: Uint8Array): string | GatewayError {
  if (data.length > ENDPOINT_BYTES_MAX)
    return refusal(`its endpoint is longer than ${ENDPOINT_BYTES_MAX} bytes`);
  const text = decode(data).trim();
  const base = URL.parse(`${target.secure ? 'https' : 'http'}://${hostHeader(target)}${target.path}`);
  const url = base === null || text === '' ? null : URL.parse(text, base);
  if (url === null || base === null) return refusal(`its endpoint is no URL: ${quoted(text)}`);
  if (url.origin !== base.origin || url.username !== '' || url.password !== '')
    return refusal(`its endpoint is of another origin than ${base.origin}: ${quoted(text)}`);
  const path = url.pathname + url.search;
  return pathIsSafe(path) ? path : refusal(`its endpoint is no path: ${quoted(text)}`);
}

/** An event stream that cannot be used. */
export function refusal(detail: string): GatewayError {
  return new GatewayError('GW_UPSTREAM_STREAM', detail);
}

function quoted(text: string): string {
  return JSON.stringify(text.slice(0, QUOTED_MAX));
}
