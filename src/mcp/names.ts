// Names on an aggregated endpoint: tools and prompts carry `server__`, resource URIs carry `server+`.
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
