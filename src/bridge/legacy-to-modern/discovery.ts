// What a modern server says of itself (server/discover), for the initialize of legacy clients.
// Called by face.ts. Promises: asked once for all who wait, kept for as long as the server allows and a minute at most, never for clients with other
// credentials or capabilities; a refusal to let the client in comes back as the server gave it.
import { decode } from '../../base/bytes.ts';
import { GatewayError, toGatewayError } from '../../base/errors.ts';
import { LIMITS } from '../../base/limits.ts';
import { isRecord, objectAt } from '../../mcp/envelope.ts';
import { describeError } from '../../mcp/errors.ts';
import { METHOD, MODERN_VERSIONS } from '../../mcp/protocol.ts';
import { ENVELOPE, KIND } from '../../scan/contract.ts';
import type { ReplyHead, Upstream, UpstreamSink } from '../../upstream/upstream.ts';
import { collect } from '../collect.ts';
import type { FaceParts } from '../face.ts';
import { postRequest } from '../member.ts';
import { modernHeaders, ownRequest } from './requests.ts';
import type { Asker } from './tool-book.ts';

/** A server that does not let the client in, as it says so over HTTP. */
export interface Refusal {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
}

/** The result of server/discover, parsed, or why there is none. */
export type Discovered =
  | { readonly result: Record<string, unknown> }
  | { readonly refusal: Refusal }
  | { readonly error: GatewayError };

interface Entry {
  readonly found: Promise<Discovered>;
  /** Until when it holds; Infinity while it is asked for. */
  untilMs: number;
}

const ENTRIES_MAX = 64;
const KEPT_MS_MAX = 60_000;
const VERSIONS_SHOWN_MAX = 8;
/** Clients that begin at the same moment are served by one question, whatever the server allows. */
const KEPT_MS_MIN = 250;
/** Refusals that are between the client and the server. */
const REFUSALS: readonly number[] = [401, 403, 429];
const REFUSAL_HEADERS: readonly string[] = ['www-authenticate', 'retry-after'];

/** Asks and remembers. */
export class Discovery {
  readonly #parts: FaceParts;
  readonly #entries = new Map<string, Entry>();

  constructor(parts: FaceParts) {
    this.#parts = parts;
  }

  /** Never rejects. */
  find(asker: Asker): Promise<Discovered> {
    const { clock } = this.#parts;
    const key = `${asker.credentials}\n${decode(asker.meta)}`;
    const known = this.#entries.get(key);
    if (known !== undefined && clock.now() < known.untilMs) return known.found;
    this.#entries.delete(key);
    if (this.#entries.size >= ENTRIES_MAX) this.#entries.delete(this.#entries.keys().next().value ?? '');
    // What cannot be asked or read is no answer, and must not stay.
    const found = this.#ask(asker).catch((thrown: unknown) => ({ error: toGatewayError(thrown) }));
    const entry: Entry = { found, untilMs: Number.POSITIVE_INFINITY };
    this.#entries.set(key, entry);
    void found.then((discovered) => {
      entry.untilMs = 'result' in discovered ? clock.now() + keptMs(discovered.result) : 0;
    });
    return found;
  }

  async #ask(asker: Asker): Promise<Discovered> {
    const { scanner, inner } = this.#parts;
    const { carried, meta, client, exchangeId } = asker;
    const draft = ownRequest(scanner, { id: `sluice:${exchangeId}:discover`, method: METHOD.discover, meta });
    const headers = modernHeaders(carried, METHOD.discover);
    const request = postRequest({ era: 'modern', headers, session: null, exchangeId, client }, draft);
    let refusal: Refusal | null = null;
    const heard = watched(inner, (head) => {
      refusal = refusalOf(head);
    });
    const reply = await collect(this.#parts, heard, request, { timeoutMs: LIMITS.memberTimeoutMs });
    if (refusal !== null) return { refusal };
    if (reply instanceof GatewayError) return { error: reply };
    const { message, status } = reply;
    if (message === null) return { error: unusable(`${status} and no message`) };
    const { bytes, envelope } = message;
    if (envelope[ENVELOPE.kind] !== KIND.result)
      return { error: unusable(describeError(objectAt(bytes, envelope, ENVELOPE.error))) };
    const result = objectAt(bytes, envelope, ENVELOPE.result);
    const { supportedVersions } = result;
    if (Array.isArray(supportedVersions) && !supportedVersions.some((one) => MODERN_VERSIONS.includes(one))) {
      const named = supportedVersions.filter((one) => typeof one === 'string').slice(0, VERSIONS_SHOWN_MAX);
      return { error: unusable(`the versions ${named.join(', ')}, none of them known here`) };
    }
    return { result };
  }
}

/** The status and headers of a refusal that is the client's to deal with; null for any other head. */
export function refusalOf(head: ReplyHead): Refusal | null {
  if (!REFUSALS.includes(head.status)) return null;
  const headers: Record<string, string> = {};
  for (const name of REFUSAL_HEADERS) {
    const value = head.header(name);
    if (value !== null) headers[name] = value;
  }
  return { status: head.status, headers };
}

/** The upstream, with somebody who sees the heads of its replies. */
function watched(inner: Upstream, onHead: (head: ReplyHead) => void): Pick<Upstream, 'send'> {
  return {
    send: (request, sink) => {
      const watching: UpstreamSink = {
        onHead: (head) => {
          onHead(head);
          sink.onHead(head);
        },
        onData: (bytes) => sink.onData(bytes),
        onEnd: () => sink.onEnd(),
        onFail: (error) => sink.onFail(error),
      };
      return inner.send(request, watching);
    },
  };
}

function keptMs({ ttlMs }: Record<string, unknown>): number {
  const allowed = typeof ttlMs === 'number' && ttlMs > 0 ? ttlMs : 0;
  return Math.min(KEPT_MS_MAX, Math.max(KEPT_MS_MIN, allowed));
}

function unusable(what: string): GatewayError {
  return new GatewayError('GW_UPSTREAM_MESSAGE', `server/discover was answered with ${what}`);
}

/** True when a server declared a change notification of its lists, or subscriptions: `resources` and `subscribe`, say. */
export function declares(
  result: Readonly<Record<string, unknown>>,
  capability: string,
  part: string,
): boolean {
  const { capabilities } = result;
  const declared = isRecord(capabilities) ? capabilities[capability] : null;
  return isRecord(declared) && declared[part] === true;
}
