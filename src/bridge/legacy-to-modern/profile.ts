// What a legacy client said of itself at `initialize`, in the form that each of its requests carries to a modern server.
// Called by initialize.ts (makes it), session.ts and call.ts. Promises: clientInfo keeps its bytes; equal profiles of recent sessions are kept once; pure.
import { concat, decode, encode } from '../../base/bytes.ts';
import { isRecord, objectAt, span, text } from '../../mcp/envelope.ts';
import { isObject, member } from '../../mcp/json.ts';
import { LEGACY_VERSIONS, META, MODERN_VERSIONS } from '../../mcp/protocol.ts';
import { modernCapabilities } from '../../mcp/to-legacy.ts';
import { ENVELOPE } from '../../scan/contract.ts';

/** What a client can be asked in the middle of a call. */
export interface Abilities {
  readonly form: boolean;
  readonly url: boolean;
  readonly sampling: boolean;
  readonly samplingTools: boolean;
  readonly roots: boolean;
}

/** One kind of client. */
export interface ClientProfile {
  /** The negotiated revision. */
  readonly version: string;
  readonly abilities: Abilities;
  /** Event ids and Last-Event-ID came with 2025-03-26. */
  readonly resumes: boolean;
  /** Streams begin with an empty event from 2025-11-25 on. */
  readonly primes: boolean;
  /** Raw members of a modern request's `_meta`: protocolVersion, clientInfo, clientCapabilities. */
  readonly meta: Uint8Array;
}

/** The revision that modern requests are made in. */
export const SPOKEN_VERSION: string = MODERN_VERSIONS[0] ?? '';

const RECENT_MAX = 16;

/** Reads the profile out of initialize requests. */
export class Profiles {
  readonly #recent: ClientProfile[] = [];
  #next = 0;

  /** The profile of the client that sent this initialize. */
  read(body: Uint8Array, envelope: Int32Array): ClientProfile {
    const asked = text(body, envelope, ENVELOPE.protocolVersion) ?? '';
    const version = LEGACY_VERSIONS.find((known) => known === asked) ?? LEGACY_VERSIONS[0] ?? '';
    const declared = objectAt(body, envelope, ENVELOPE.capabilities);
    const abilities = abilitiesOf(declared);
    const meta = metaOf(clientInfoOf(body, envelope), modernCapabilities(declared));
    const known = this.#recent.find((one) => one.version === version && decode(one.meta) === decode(meta));
    if (known !== undefined) return known;
    const profile: ClientProfile = {
      version,
      abilities,
      resumes: version >= '2025-03-26',
      primes: version >= '2025-11-25',
      meta,
    };
    this.#recent[this.#next] = profile;
    this.#next = (this.#next + 1) % RECENT_MAX;
    return profile;
  }
}

/** Raw members of a request's `_meta` for a session with this log level; null asks for no messages. */
export function metaWith({ meta }: ClientProfile, level: string | null): Uint8Array {
  return level === null ? meta : concat([meta, encode(`,"${META.logLevel}":"${level}"`)]);
}

function metaOf(clientInfo: Uint8Array | null, capabilities: Record<string, unknown>): Uint8Array {
  const info = clientInfo === null ? [] : [encode(`"${META.clientInfo}":`), clientInfo, encode(',')];
  return concat([
    encode(`"${META.protocolVersion}":${JSON.stringify(SPOKEN_VERSION)},`),
    ...info,
    encode(`"${META.clientCapabilities}":${JSON.stringify(capabilities)}`),
  ]);
}

/** Raw bytes of the client's description of itself, or null. */
function clientInfoOf(body: Uint8Array, envelope: Int32Array): Uint8Array | null {
  const params = span(envelope, ENVELOPE.params);
  if (params === null || !isObject(body, params.start)) return null;
  const at = member(body, params.start, 'clientInfo');
  return at === null || !isObject(body, at.start) ? null : body.slice(at.start, at.end);
}

function abilitiesOf({ elicitation, sampling, roots }: Record<string, unknown>): Abilities {
  const asks = isRecord(elicitation);
  const url = asks && isRecord(elicitation.url);
  return {
    // Before 2025-11-25 there was one mode, and an empty object declared it.
    form: asks && (isRecord(elicitation.form) || !url),
    url,
    sampling: isRecord(sampling),
    samplingTools: isRecord(sampling) && isRecord(sampling.tools),
    roots: isRecord(roots),
  };
}
