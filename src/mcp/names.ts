// Names on an aggregated endpoint: tools and prompts carry `server__`, resource URIs carry `server+`; both reversible.
// Called by proxy and mcp/rewrite. Promises: pure; splitting knows the member names, so that any tool name survives.

const NAME_MARK = '__';
const URI_MARK = '+';

/** Name that clients see. */
export function joinName(server: string, name: string): string {
  return `${server}${NAME_MARK}${name}`;
}

/** URI that clients see. */
export function joinUri(server: string, uri: string): string {
  return `${server}${URI_MARK}${uri}`;
}

/** A name taken apart: index into the members, and the upstream's own name. */
export interface Target {
  readonly index: number;
  readonly own: string;
}

function split(members: readonly string[], full: string, mark: string): Target | null {
  let best = -1;
  let length = -1;
  for (let i = 0; i < members.length; i++) {
    const server = members[i] ?? '';
    if (server.length > length && full.startsWith(server) && full.startsWith(mark, server.length)) {
      best = i;
      length = server.length;
    }
  }
  return best < 0 ? null : { index: best, own: full.slice(length + mark.length) };
}

/** Takes a client-side tool or prompt name apart; the longest member name wins; null when no member fits. */
export function splitName(members: readonly string[], full: string): Target | null {
  return split(members, full, NAME_MARK);
}

/** Takes a client-side URI apart; null when it bears no member's tag. */
export function splitUri(members: readonly string[], full: string): Target | null {
  return split(members, full, URI_MARK);
}
