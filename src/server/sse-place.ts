// The paths of HTTP+SSE (2024-11-05): where an endpoint's event stream is opened, and where its client's messages go.
// Called by http.ts, sse.ts and cli/lifecycle.ts. Promises: every endpoint has one of both; an exchange at such a path tells by its endpoint what it is.
// Source: MCP 2024-11-05, transports.
import type { EndpointSpec } from '../snapshot.ts';

/** Path of the event stream of an endpoint: /sse for /mcp, else the endpoint's own with /sse behind it. */
export function ssePath(endpointPath: string): string {
  return endpointPath === '/mcp' ? '/sse' : `${endpointPath}/sse`;
}

/** Path that the client of a stream posts its messages to. */
export function messagePath(streamPath: string): string {
  return `${streamPath}/message`;
}

/** What a path of HTTP+SSE is for. */
type SseRole = 'stream' | 'message';

const STREAM_END = '/sse';
const MESSAGE_END = messagePath('');

/** What a path would be for, and the path of the endpoint that would have it; null when it is none of HTTP+SSE. */
export function ssePlaceOf(path: string): { readonly role: SseRole; readonly endpointPath: string } | null {
  const role = path.endsWith(MESSAGE_END) ? 'message' : 'stream';
  const streamPath = role === 'message' ? path.slice(0, -MESSAGE_END.length) : path;
  if (!streamPath.endsWith(STREAM_END)) return null;
  const endpointPath = streamPath === STREAM_END ? '/mcp' : streamPath.slice(0, -STREAM_END.length);
  // The path of one endpoint is no other's stream.
  return ssePath(endpointPath) === streamPath ? { role, endpointPath } : null;
}

/** A path of HTTP+SSE, as exchanges see it: an endpoint that leads to another. */
export class SsePlace implements EndpointSpec {
  readonly name: string;
  readonly path: string;
  readonly members: readonly number[];
  readonly prefixed: boolean;
  /** The endpoint that its messages are for. */
  readonly of: EndpointSpec;
  readonly role: SseRole;
  /** The one method that is served there. */
  readonly methods: readonly string[];

  constructor(of: EndpointSpec, role: SseRole) {
    this.name = of.name;
    this.path = role === 'stream' ? ssePath(of.path) : messagePath(ssePath(of.path));
    this.methods = role === 'stream' ? ['GET'] : ['POST'];
    this.members = of.members;
    this.prefixed = of.prefixed;
    this.of = of;
    this.role = role;
  }
}
