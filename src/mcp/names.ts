// Names on an aggregated endpoint: tools and prompts carry `server__`, resource URIs carry `server+`; both reversible.
// Called by proxy and mcp/rewrite. Promises: pure; splitting knows the member names, so that any tool name survives.

const NAME_MARK = '__';
const URI_MARK = '+';
/** Longer than any server name that a configuration may give. */
const SERVER_NAME_MAX = 64;

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

/** Names → places, made once for each list of members: a look-up costs the same however many there are. */
const PLACES = new WeakMap<readonly string[], ReadonlyMap<string, number>>();

function placesOf(members: readonly string[]): ReadonlyMap<string, number> {
  const known = PLACES.get(members);
  if (known !== undefined) return known;
  const places = new Map(members.map((server, index) => [server, index]));
  PLACES.set(members, places);
  return places;
}

function split(members: readonly string[], full: string, mark: string): Target | null {
  const places = placesOf(members);
  let found: Target | null = null;
  // The mark may come again inside the name itself: the longest prefix that is a member wins. Members' names are short.
  for (let at = full.indexOf(mark); at >= 0 && at <= SERVER_NAME_MAX; at = full.indexOf(mark, at + 1)) {
    const index = places.get(full.slice(0, at));
    if (index !== undefined) found = { index, own: full.slice(at + mark.length) };
  }
  return found;
}

/** Takes a client-side tool or prompt name apart; the longest member name wins; null when no member fits. */
export function splitName(members: readonly string[], full: string): Target | null {
  return split(members, full, NAME_MARK);
}

/** Takes a client-side URI apart; null when it bears no member's tag. */
export function splitUri(members: readonly string[], full: string): Target | null {
  return split(members, full, URI_MARK);
}
