// What a server of the HTTP+SSE transport (MCP 2024-11-05) tells about its two endpoints: where to POST, and whether a POST was refused because the session is gone.
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

/**
 * True when the answer to a POST says that the server does not know the session. 404 says so by the specification of the later transport; 400 is
 * what many servers of this one say, who also say it of a message that they cannot read: their words tell the two apart.
 */
export function isSessionLost(status: number, words: string): boolean {
  return status === 404 || status === 410 || (status === 400 && /session|transport|connection/i.test(words));
}

/** An event stream that cannot be used. */
export function refusal(detail: string): GatewayError {
  return new GatewayError('GW_UPSTREAM_STREAM', detail);
}

function quoted(text: string): string {
  return JSON.stringify(text.slice(0, QUOTED_MAX));
}
