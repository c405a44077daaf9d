// Names on an aggregated endpoint: tools and prompts carry `server__`, resource URIs and task ids carry `server+`.
// Called by proxy and mcp/rewrite. Promises: pure; what is joined here is taken apart again by the route table (route/), which knows the members,
// so that any name survives.
import { MARK } from '../scan/lookup.ts';

/** Name that clients see. */
export function joinName(server: string, name: string): string {
  return `${server}${MARK.name}${name}`;
}

/** URI that clients see. */
export function joinUri(server: string, uri: string): string {
  return `${server}${MARK.uri}${uri}`;
}

/** A server's own spelling of a URI that clients see; null when it bears another mark, or none. */
export function ownUri(server: string, uri: string): string | null {
  const mark = `${server}${MARK.uri}`;
  return uri.startsWith(mark) ? uri.slice(mark.length) : null;
}
